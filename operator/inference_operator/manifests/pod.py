"""The pod of a fleet: one server container, under Pod Security *restricted*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names
from inference_operator.manifests.container import PRE_STOP_SECONDS, container
from inference_operator.manifests.volumes import volumes

if TYPE_CHECKING:
    from inference_operator.spec import Spec

USER = 65532
SPREAD = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
MARGIN_SECONDS = 15
"""Between the server's own drain deadline and the kubelet's SIGKILL."""


def pod_spec(model_name: str, spec: Spec, *, fleet: str, default_image: str) -> dict[str, Any]:
    grace = PRE_STOP_SECONDS + spec.rollout.drain_timeout_seconds + MARGIN_SECONDS
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(model_name, spec, default_image=default_image)],
        "volumes": volumes(spec, fleet),
        "topologySpreadConstraints": [_spread(key, model_name, fleet) for key in SPREAD],
        **_placement(spec),
    }


def _spread(key: str, model_name: str, fleet: str) -> dict[str, Any]:
    """A wish and no condition: where there is one node, all pods run on it."""
    return {
        "topologyKey": key,
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.fleet_selector(model_name, fleet)},
    }


def _placement(spec: Spec) -> dict[str, Any]:
    """Where the pod may run; what is not asked for is left out."""
    server = spec.server
    asked = {
        "imagePullSecrets": [{"name": secret.name} for secret in server.image_pull_secrets],
        "nodeSelector": server.node_selector,
        "tolerations": list(server.tolerations),
        "affinity": server.affinity,
        "runtimeClassName": server.runtime_class_name,
        "priorityClassName": server.priority_class_name,
    }
    return {key: value for key, value in asked.items() if value}
