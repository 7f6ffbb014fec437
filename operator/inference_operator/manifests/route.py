"""The HTTPRoute of a model: from gateways to the active Service, which a flip moves on, so a swap never changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inference_operator import names
from inference_operator.manifests.metadata import metadata, seal
from inference_operator.manifests.services import PORT

if TYPE_CHECKING:
    from inference_operator.observed import Model
    from inference_operator.spec.live import HttpRoute, Parent

NO_TIMEOUT = "0s"
"""Else a gateway's default would cut long streams."""


def http_route(model: Model, asked: HttpRoute) -> dict[str, Any]:
    """One rule, for every path."""
    name = names.http_route(model.name)
    backend = {"name": names.active_service(model.name), "port": PORT}
    hostnames = {"hostnames": list(asked.hostnames)} if asked.hostnames else {}
    return seal(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": metadata(model, name, names.model_labels(model.name), {}),
            "spec": {
                "parentRefs": [_reference(parent) for parent in asked.parent_refs],
                **hostnames,
                "rules": [{"backendRefs": [backend], "timeouts": {"request": NO_TIMEOUT}}],
            },
        }
    )


def _reference(parent: Parent) -> dict[str, Any]:
    given: dict[str, Any] = msgspec.to_builtins(parent)
    return {key: value for key, value in given.items() if value is not None}
