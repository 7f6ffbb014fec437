"""Kubernetes Events on an InferenceModel. One that repeats counts up instead of filling the namespace."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from inference_operator import names
from inference_operator.actions import Event, write_time
from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.errors import ClusterError, NamespaceEnding, StaleObservation
from inference_operator.observed import Model

LONGEST = 1024
"""Characters of a message; the API server refuses more."""

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Recorder:
    client: Client
    clock: Callable[[], datetime] = _now

    async def record(self, model: Model, event: Event) -> None:
        """An event that cannot be written is logged: it is news, and never a reason to stop the work."""
        try:
            await self._record(model, event)
        except NamespaceEnding:
            _log.debug("event %s of %s/%s has no place any more", event.reason, model.namespace, model.name)
        except ClusterError as error:
            _log.warning("event %s of %s/%s is lost: %s", event.reason, model.namespace, model.name, error)

    async def _record(self, model: Model, event: Event) -> None:
        body = _render(model, event, write_time(self.clock()))
        try:
            await self.client.create(kinds.EVENT, model.namespace, body)
        except StaleObservation:
            await self._count_up(model.namespace, body)

    async def _count_up(self, namespace: str, body: Object) -> None:
        name = body["metadata"]["name"]
        known = await self.client.get(kinds.EVENT, namespace, name)
        count = 1 if known is None else known.get("count", 1) + 1
        again = {"count": count, "lastTimestamp": body["lastTimestamp"]}
        await self.client.merge(kinds.EVENT, namespace, name, again)


def _render(model: Model, event: Event, time: str) -> Object:
    # The same news has the same name, so a second one finds the first.
    identity = names.short_hash(f"{model.uid} {event.type} {event.reason} {event.message}", 12)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{model.name}.{identity}", "namespace": model.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": model.namespace,
            "name": model.name,
            "uid": model.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:LONGEST],
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
    }
