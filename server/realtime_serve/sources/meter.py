"""How far a transfer is, and how fast: told about once a second."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

TELL_SECONDS = 0.5
WINDOW = 10
"""Samples that the speed is taken over."""


class Transfer(NamedTuple):
    """Bytes there, bytes in all (0: not known), bytes a second."""

    done: int
    total: int
    per_second: int


class Meter:
    """Counts bytes, from any thread."""

    def __init__(
        self,
        tell: Callable[[Transfer], None] = lambda _transfer: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = 0
        self.total = 0
        self.moved = 0
        """Bytes that came over the network; `done` has those too that were there before."""
        self.begun = clock()
        self._tell = tell
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def expect(self, total: int) -> None:
        """So many bytes in all, and none of them yet."""
        with self._lock:
            self.done, self.total = 0, total
            self._samples.clear()

    def have(self, count: int) -> None:
        """So many more are there without a transfer."""
        with self._lock:
            self.done += count

    def add(self, count: int) -> None:
        """So many more came."""
        self.see(self.done + count, moved=count)

    def see(self, done: int, *, moved: int = 0) -> None:
        """So many are there now, whoever brought them."""
        with self._lock:
            self.done = done
            self.moved += moved
            now = self._clock()
            if self._samples and now - self._samples[-1][0] < TELL_SECONDS:
                return
            self._samples.append((now, done))
            self._tell(self._transfer())

    def _transfer(self) -> Transfer:
        (first, before), (last, now) = self._samples[0], self._samples[-1]
        speed = (now - before) / (last - first) if last > first else 0.0
        return Transfer(self.done, self.total, max(0, int(speed)))
