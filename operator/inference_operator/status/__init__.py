"""The status of an InferenceModel, computed whole from one observation. Pure."""

from inference_operator.status.hindrance import hindered, unrouted
from inference_operator.status.report import refused_status, scene_status

__all__ = ["hindered", "refused_status", "scene_status", "unrouted"]
