"""Kubernetes objects as plain dicts: pure builders, a file per kind."""

from inference_operator.manifests.deployment import deployment
from inference_operator.manifests.disruption import disruption_budget
from inference_operator.manifests.metadata import in_sync
from inference_operator.manifests.network import network_policy
from inference_operator.manifests.pod import pod_spec
from inference_operator.manifests.services import active_service, preview_service
from inference_operator.manifests.settings import settings, settings_hash, settings_text

__all__ = [
    "active_service",
    "deployment",
    "disruption_budget",
    "in_sync",
    "network_policy",
    "pod_spec",
    "preview_service",
    "settings",
    "settings_hash",
    "settings_text",
]
