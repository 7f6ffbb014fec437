"""kopf, kept running: what ends it by mistake, as a watch that breaks amid a line does, costs a new listing and no more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import kopf

from inference_operator import handlers
from inference_operator.controller.metrics import Key
from inference_operator.controller.queue import WorkQueue

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before kopf is begun anew. When it fails once more in a row than these, its error is ours."""
STEADY = 60.0
"""Seconds after which a run counts as a good one: what fails then is not the same failure."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Every start of kopf lists all that there is, so what happened in a pause is not missed."""

    queue: WorkQueue[Key]
    namespaces: Sequence[str]
    """Empty: all of the cluster."""
    on_ready: Callable[[], None]
    """Called when kopf has put its own signal handlers in place."""
    pauses: Sequence[float] = PAUSES
    clock: Callable[[], float] = time.monotonic

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; raises what kopf raised when it fails again and again."""
        failures = 0
        while not stop.is_set():
            begun = self.clock()
            try:
                await self._listen(stop)
            except Exception as error:
                failures = 1 if self.clock() - begun > STEADY else failures + 1
                if failures > len(self.pauses):
                    raise
                pause = self.pauses[failures - 1]
                _log.warning(
                    "listening broke (%s: %s); begun anew in %g s", type(error).__name__, error, pause
                )
                await _sleep(pause, stop)

    async def _listen(self, stop: asyncio.Event) -> None:
        ready = asyncio.Event()
        running = asyncio.create_task(self._kopf(stop, ready))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            self.on_ready()
            await running
        finally:
            waiting.cancel()
            running.cancel()
            await asyncio.gather(running, waiting, return_exceptions=True)

    async def _kopf(self, stop: asyncio.Event, ready: asyncio.Event) -> None:
        clusterwide = not self.namespaces
        await kopf.operator(
            registry=handlers.make_registry(self.queue),
            settings=handlers.make_settings(clusterwide=clusterwide),
            clusterwide=clusterwide,
            namespaces=self.namespaces,
            standalone=True,
            stop_flag=stop,
            ready_flag=ready,
        )


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
