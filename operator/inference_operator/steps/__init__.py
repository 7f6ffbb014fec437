"""What a step of the rollout does to the cluster, and the sentence that tells of it. Pure."""

from inference_operator.steps.table import actions_of
from inference_operator.steps.telling import event_of

__all__ = ["actions_of", "event_of"]
