"""Workers that take keys from the queue, and the resync that puts every model into it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client
from inference_operator.controller.metrics import Key, Metrics
from inference_operator.controller.queue import QueueStopped, WorkQueue
from inference_operator.errors import ClusterError, LeaseLost, NamespaceEnding, StaleObservation

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Several may share one queue: no key is ever with two of them."""

    queue: WorkQueue[Key]
    reconcile: Callable[[Key], Awaitable[float | None]]
    metrics: Metrics

    async def run(self) -> None:
        """Until the queue stops; raises LeaseLost."""
        while True:
            try:
                key = await self.queue.take()
            except QueueStopped:
                return
            try:
                await self._work(key)
            finally:
                self.queue.done(key)

    async def _work(self, key: Key) -> None:
        try:
            again = await self.reconcile(key)
        except NamespaceEnding as error:
            self.metrics.reconciles.labels("done").inc()
            self.queue.forget(key)
            _log.info("%s/%s: left alone: %s", *key, error)
        except StaleObservation as error:
            self._retry(key, "stale", logging.DEBUG, str(error))
        except ClusterError as error:
            self._retry(key, "failed", logging.WARNING, str(error))
        except LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours in one model must not stop the others
            _log.exception("%s/%s: this is a bug", *key)
            self._retry(key, "failed", logging.WARNING, "see the traceback above")
        else:
            self.metrics.reconciles.labels("done").inc()
            self.queue.forget(key)
            if again is not None:
                self.queue.add_after(key, again)

    def _retry(self, key: Key, result: str, level: int, why: str) -> None:
        self.metrics.reconciles.labels(result).inc()
        delay = self.queue.retry(key)
        _log.log(level, "%s/%s: again in %.1f s: %s", *key, delay, why)


@dataclass(kw_only=True)
class Resync:
    """Lists all models every `every` seconds: whatever an event stream has missed is found then."""

    client: Client
    queue: WorkQueue[Key]
    metrics: Metrics
    namespaces: Sequence[str] = ()
    """Empty: all."""
    every: float = 300.0
    retry: float = 5.0
    clock: Callable[[], float] = time.monotonic
    last: float = field(init=False)
    """Our clock when the last one succeeded; at first, when we began to try."""

    def __post_init__(self) -> None:
        self.last = self.clock()

    async def run(self) -> None:
        while True:
            listed = await self._once()
            await asyncio.sleep(self.every if listed else self.retry)

    def age(self) -> float:
        """Seconds since the last one that succeeded."""
        return self.clock() - self.last

    async def _once(self) -> bool:
        try:
            models = [
                model
                for namespace in self.namespaces or ("",)
                for model in await self.client.list(kinds.MODEL, namespace)
            ]
        except ClusterError as error:
            _log.warning("resync: %s", error)
            return False
        for model in models:
            self.queue.add(Key(model["metadata"]["namespace"], model["metadata"]["name"]))
        self.last = self.clock()
        self.metrics.resynced.set_to_current_time()
        return True
