"""Workers that take keys from the queue, and the resync that puts every model into it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from inference_operator.cluster.survey import Surveyor
from inference_operator.controller.key import Key
from inference_operator.controller.memory import Memory
from inference_operator.controller.metrics import Metrics
from inference_operator.controller.queue import QueueStopped, WorkQueue
from inference_operator.errors import ClusterError, LeaseLost, NamespaceEnding, StaleObservation

STALE = 2.0
"""Seconds at most before a model is looked at again of which somebody wrote first: nothing is wrong with it."""

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
            self._retry(key, "stale", logging.DEBUG, str(error), at_most=STALE)
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

    def _retry(self, key: Key, result: str, level: int, why: str, *, at_most: float = math.inf) -> None:
        self.metrics.reconciles.labels(result).inc()
        delay = self.queue.retry(key, at_most=at_most)
        _log.log(level, "%s/%s: again in %.1f s: %s", *key, delay, why)


@dataclass(kw_only=True)
class Resync:
    """Looks at all models every `every` seconds: whatever an event stream has missed is found then.

    A model is queued only when something about it is not as its last run saw it, so a thousand models at rest cost
    a few lists and not a thousand runs.
    """

    surveyor: Surveyor
    queue: WorkQueue[Key]
    metrics: Metrics
    memory: Memory
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
            seen = {Key(*place): sighting for place, sighting in (await self.surveyor.look()).items()}
        except ClusterError as error:
            _log.warning("resync: %s", error)
            return False
        for key in self.memory.differing(seen):
            self.queue.add(key)
        self.last = self.clock()
        self.metrics.resynced.set_to_current_time()
        return True
