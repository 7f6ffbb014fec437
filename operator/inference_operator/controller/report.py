"""The status, written whole, once, and only when it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.observed import Model


@dataclass(frozen=True, kw_only=True)
class Reporter:
    client: Client

    async def report(self, model: Model, status: Mapping[str, Any] | None) -> bool:
        """Whether it had to be written. Raises StaleObservation when the model changed since it was read."""
        if status is None or status == model.status:
            return False
        steps: list[Object] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": model.resource_version},
            {"op": "add", "path": "/status", "value": dict(status)},
        ]
        await self.client.patch(kinds.MODEL, model.namespace, model.name, steps, subresource="status")
        return True
