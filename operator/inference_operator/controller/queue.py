"""A queue of keys: each at most once in it, at most one worker on each, failures tried again ever later."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)


class Timed(Protocol):
    def when(self) -> float: ...
    def cancel(self) -> None: ...


class Timer(Protocol):
    """The part of an event loop that tells and keeps time."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], object]) -> Timed: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before the next try, doubling; up to a fifth more by chance, so that keys do not march in step."""

    first: float = 0.2
    longest: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """`failures` from 1, `chance` in [0, 1)."""
        doubled: float = self.first * 2.0 ** min(failures - 1, 30)
        return min(doubled, self.longest) * (1 + chance / 5)


class QueueStopped(Exception):
    """No more keys are given out."""


class WorkQueue(Generic[K]):
    """For one event loop. A key that is added while it is worked on is given out once more afterwards."""

    def __init__(
        self,
        *,
        timer: Timer | None = None,
        backoff: Backoff | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._timer: Timer = timer or asyncio.get_running_loop()
        self._backoff = backoff or Backoff()
        self._chance = chance
        self._waiting: deque[K] = deque()
        self._since: dict[K, float] = {}
        """Keys that wait, and since when."""
        self._running: set[K] = set()
        self._again: set[K] = set()
        """Keys that were added while they were worked on."""
        self._later: dict[K, Timed] = {}
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._stopped = False

    def add(self, key: K) -> None:
        """Give `key` out as soon as a worker is free."""
        if self._stopped or key in self._since or key in self._again:
            return
        if key in self._running:
            self._again.add(key)
            return
        self._since[key] = self._timer.time()
        self._waiting.append(key)
        self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Add `key` later; where it already is to be added later, the earlier time holds."""
        if self._stopped:
            return
        when = self._timer.time() + seconds
        planned = self._later.get(key)
        if planned is not None and planned.when() <= when:
            return
        if planned is not None:
            planned.cancel()
        self._later[key] = self._timer.call_at(when, lambda: self._due(key))

    async def take(self) -> K:
        """The key that waited longest; call `done` with it. Raises QueueStopped after `stop`."""
        while not self._waiting:
            if self._stopped:
                raise QueueStopped
            self._changed.clear()
            await self._changed.wait()
        if self._stopped:
            raise QueueStopped
        key = self._waiting.popleft()
        del self._since[key]
        self._running.add(key)
        self._cancel_later(key)  # this run will say itself when it wants the next
        return key

    def done(self, key: K) -> None:
        self._running.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def retry(self, key: K, *, at_most: float = math.inf) -> float:
        """Add a key that failed after its backoff, and tell how long that is."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(self._backoff.delay(self._failures[key], self._chance()), at_most)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """`key` succeeded: its next failure counts as the first."""
        self._failures.pop(key, None)

    def stop(self) -> None:
        """Give out nothing more."""
        self._stopped = True
        for key in tuple(self._later):
            self._cancel_later(key)
        self._changed.set()

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Seconds that the first key has waited."""
        return self._timer.time() - self._since[self._waiting[0]] if self._waiting else 0.0

    def _due(self, key: K) -> None:
        self._later.pop(key, None)
        self.add(key)

    def _cancel_later(self, key: K) -> None:
        planned = self._later.pop(key, None)
        if planned is not None:
            planned.cancel()
