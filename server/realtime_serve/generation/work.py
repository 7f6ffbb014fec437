"""What is in hand: accepted requests until their answers are written. It can be awaited, and cut."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from realtime_serve.errors import RequestError

log = logging.getLogger("realtime_serve.work")

LAST_WORDS_SECONDS = 5.0  # for streams that were cut to write their error event


class Cuttable(Protocol):
    """A generation, as far as its end from outside is concerned."""

    def cut(self, reason: RequestError) -> None:
        """End it for this reason."""


class Work:
    """A count, and the generations among it that run."""

    def __init__(self, on_idle: Callable[[], None] = lambda: None) -> None:
        self.active = 0
        """Accepted requests: waiting, running, or their answer still being written."""
        self._running: set[Cuttable] = set()
        self._on_idle = on_idle
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one for as long as the context lasts."""
        self.active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.active -= 1
            if self.active == 0:
                self._idle.set()
                self._on_idle()

    @contextmanager
    def running(self, generation: Cuttable) -> Iterator[None]:
        """Know it, so that it can be cut, for as long as the context lasts."""
        self._running.add(generation)
        try:
            yield
        finally:
            self._running.discard(generation)

    async def finish(self, seconds: float, reason: RequestError) -> None:
        """Wait until nothing is in hand, at most so long; then cut what is left, which tells its clients the reason."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("cutting %d requests: %s", self.active, reason)
            await self.cut(reason)

    async def cut(self, reason: RequestError) -> None:
        """End all of it, and give it time to tell why."""
        for generation in tuple(self._running):
            generation.cut(reason)
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d requests did not end in time", self.active)
