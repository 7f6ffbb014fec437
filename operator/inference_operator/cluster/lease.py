"""Leader election by a Lease. Whether a holder still lives is judged by our own clock, never by its timestamps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.errors import ClusterError, LeaseLost, StaleObservation

_Write = Callable[[kinds.Kind, str, Object], Awaitable[Object]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. A holder that is silent for `duration` may be replaced; it gives up itself after `deadline`."""

    duration: float = 15
    deadline: float = 10
    retry: float = 2

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.deadline < self.duration:
            raise ValueError(f"retry < deadline < duration must hold; got {self}")


@dataclass(kw_only=True)
class Lease:
    """At most one process holds it: `acquire`, then `hold` for as long as writing is allowed, then `release`."""

    client: Client
    namespace: str
    name: str
    identity: str
    terms: Terms = field(default_factory=Terms)
    clock: Callable[[], float] = time.monotonic
    renewed: float | None = None
    """Our clock when the last successful renewal was sent; None while we are not the leader."""
    _current: Object | None = None
    """The object as last seen."""
    _changed: float = 0.0
    """Our clock when `_current` last changed."""

    def check(self) -> None:
        """Raise LeaseLost when a successor may already write: a process that was stopped must not go on."""
        if self.renewed is None or self.clock() - self.renewed >= self.terms.duration:
            raise LeaseLost(f"the lease {self.namespace}/{self.name} is not ours, or was not renewed in time")

    async def acquire(self) -> None:
        """Return once we hold it."""
        while not await self._try():  # noqa: ASYNC110 - what is waited for happens in the API server
            await asyncio.sleep(self.terms.retry)
        _log.info("%s leads: it holds the lease %s/%s", self.identity, self.namespace, self.name)

    async def hold(self) -> None:
        """Renew until that fails for `deadline`, or another has it; then raise LeaseLost."""
        while True:
            await asyncio.sleep(self.terms.retry)
            await self._try()
            silent = self.clock() - (self.renewed or 0.0)
            if self.renewed is None or silent >= self.terms.deadline:
                raise LeaseLost(f"the lease {self.namespace}/{self.name} is lost")

    async def release(self) -> None:
        """Let a successor take over at once."""
        if self.renewed is None or self._current is None:
            return
        self.renewed = None
        body = {**self._current, "spec": {**self._current["spec"], "holderIdentity": ""}}
        try:
            await self.client.replace(kinds.LEASE, self.namespace, body)
        except ClusterError as error:
            _log.warning("the lease is not released, a successor waits for it to end: %s", error)

    async def _try(self) -> bool:
        """One attempt to take or renew it; False when another holds it or the API server does not answer."""
        began = self.clock()
        try:
            async with asyncio.timeout(self.terms.deadline / 2):
                held = await self._take()
        except (ClusterError, TimeoutError) as error:
            _log.warning("lease %s/%s: %s", self.namespace, self.name, error or "no answer")
            return False
        self.renewed = began if held else None
        return held

    async def _take(self) -> bool:
        found = await self.client.get(kinds.LEASE, self.namespace, self.name)
        if found is None:
            meta = {"name": self.name, "namespace": self.namespace}
            body = {"apiVersion": kinds.LEASE.api_version, "kind": "Lease", "metadata": meta}
            return await self._win(self.client.create, {**body, "spec": self._spec(0)})
        self._see(found)
        spec = found.get("spec") or {}
        if spec.get("holderIdentity") == self.identity:
            renewed = {**found, "spec": {**spec, "renewTime": _micro_time()}}
            self._see(await self.client.replace(kinds.LEASE, self.namespace, renewed))
            return True
        if spec.get("holderIdentity") and self.clock() - self._changed < self._patience(spec):
            return False
        transitions = (spec.get("leaseTransitions") or 0) + 1
        return await self._win(self.client.replace, {**found, "spec": self._spec(transitions)})

    async def _win(self, write: _Write, body: Object) -> bool:
        """Whether our claim was the first to be written."""
        try:
            self._see(await write(kinds.LEASE, self.namespace, body))
        except StaleObservation:
            return False
        return True

    def _see(self, found: Object) -> None:
        """The wait for a silent holder starts anew whenever the object changed."""
        known = None if self._current is None else self._current["metadata"]["resourceVersion"]
        if found["metadata"]["resourceVersion"] != known:
            self._changed = self.clock()
        self._current = found

    def _patience(self, spec: Object) -> float:
        return float(spec.get("leaseDurationSeconds") or self.terms.duration)

    def _spec(self, transitions: int) -> Object:
        now = _micro_time()
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.terms.duration)),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
