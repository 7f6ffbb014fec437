"""One PodDisruptionBudget a fleet, so that the pods of one never make up for those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names
from inference_operator.manifests.metadata import metadata, seal

if TYPE_CHECKING:
    from inference_operator.observed import Model


def disruption_budget(model: Model, *, fleet: str, revision: str) -> dict[str, Any]:
    """One pod at a time may be evicted; pods that are not ready may always."""
    labels = names.fleet_labels(model.name, fleet, revision)
    return seal(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(model, names.disruption_budget(fleet), labels, {}),
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": names.fleet_selector(model.name, fleet)},
            },
        }
    )
