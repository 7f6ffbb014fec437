"""Kubernetes objects as plain dicts: pure builders, a file per kind."""

from inference_operator.manifests.deployment import deployment
from inference_operator.manifests.disruption import disruption_budget
from inference_operator.manifests.metadata import in_sync
from inference_operator.manifests.network import network_policy
from inference_operator.manifests.pod import pod_spec
from inference_operator.manifests.route import http_route
from inference_operator.manifests.services import active_service, preview_service
from inference_operator.manifests.settings import settings, settings_hash, settings_text
from inference_operator.manifests.template import differences, read_template, template_of, written_template

__all__ = [
    "active_service",
    "deployment",
    "differences",
    "disruption_budget",
    "http_route",
    "in_sync",
    "network_policy",
    "pod_spec",
    "preview_service",
    "read_template",
    "settings",
    "settings_hash",
    "settings_text",
    "template_of",
    "written_template",
]
