"""The two Services of a model: the active one that clients use, and the preview that promotions are judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names
from inference_operator.manifests.metadata import metadata, seal

if TYPE_CHECKING:
    from inference_operator.observed import Model
    from inference_operator.spec import Spec


PORT = 80
"""Of both."""


def active_service(model: Model, spec: Spec) -> dict[str, Any]:
    """Without a selector: that belongs to the router's field manager, so applying this never moves traffic."""
    asked = spec.service
    port = _port() | ({"nodePort": asked.node_port} if asked.node_port else {})
    return _service(
        model,
        names.active_service(model.name),
        {"type": asked.type, "ports": [port]},
        annotations=asked.annotations,
    )


def preview_service(model: Model, fleet: str | None) -> dict[str, Any]:
    """Selects the fleet under preparation, and at rest the active one; no fleet yet, no selector."""
    selector = {"selector": names.fleet_selector(model.name, fleet)} if fleet else {}
    return _service(
        model,
        names.preview_service(model.name),
        {"type": "ClusterIP", "ports": [_port()]} | selector,
        annotations={},
    )


def _service(model: Model, name: str, spec: dict[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    return seal(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(model, name, names.model_labels(model.name), annotations),
            "spec": spec,
        }
    )


def _port() -> dict[str, Any]:
    return {"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}
