"""What is free in the cluster: nodes, the pods on them, and a namespace's quotas, where this operator may see them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.errors import ClusterError, Refused
from inference_operator.room import Room, read_room

FRESH = 5.0
"""Seconds for which one picture of the nodes serves all models that wait for room."""
RUNNING = "status.phase!=Succeeded,status.phase!=Failed"

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class RoomReader:
    client: Client
    nodes_come: bool = False
    """Pods that wait make nodes come, as whoever installed the operator says."""
    clock: Callable[[], float] = time.monotonic
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: tuple[float, list[Object], list[Object]] | None = None

    async def read(self, namespace: str) -> Room | None:
        """None where it may not be seen. Raises ClusterError when the API server cannot be asked."""
        try:
            nodes, pods = await self._cluster()
            quotas = await self.client.list(kinds.RESOURCE_QUOTA, namespace)
        except Refused as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            _log.warning("room for a rollout is unknown: %s", error)
            return None
        try:
            return read_room(nodes, pods, quotas, nodes_come=self.nodes_come)
        except ValueError as error:
            raise ClusterError(f"the room for a rollout cannot be told: {error}") from error

    async def _cluster(self) -> tuple[list[Object], list[Object]]:
        """Nodes, and the pods of all namespaces that have not ended."""
        async with self._one:
            if self._seen is None or self.clock() - self._seen[0] >= FRESH:
                nodes, pods = await asyncio.gather(
                    self.client.list(kinds.NODE), self.client.list(kinds.POD, fields=RUNNING)
                )
                self._seen = (self.clock(), nodes, [_slim(pod) for pod in pods])
            return self._seen[1], self._seen[2]


def _slim(pod: Object) -> Object:
    """What is counted of a pod, so that the pods of a large cluster take little memory."""
    spec = pod["spec"]
    kept = ("nodeName", "overhead")
    boxes = {
        key: [
            {part: box[part] for part in ("resources", "restartPolicy") if part in box} for box in spec[key]
        ]
        for key in ("containers", "initContainers")
        if key in spec
    }
    return {"spec": {key: spec[key] for key in kept if key in spec} | boxes, "status": {}}
