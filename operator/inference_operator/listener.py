"""kopf, kept running: what ends it by mistake, as a watch that breaks amid a line does, costs a new listing and no more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from inference_operator.controller.key import Key
from inference_operator.controller.queue import WorkQueue
from inference_operator.kopf_thread import KopfThread

COALESCE = 0.05
"""Seconds for which events of one model are gathered into one run."""

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
        loop = asyncio.get_running_loop()

        def tell(key: Key) -> None:
            loop.call_soon_threadsafe(self._hear, key)

        thread = KopfThread(tell, self.namespaces)
        ended, stopping = thread.start(), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            thread.stop()
        await ended

    def _hear(self, key: Key) -> None:
        self.queue.add_after(key, COALESCE)


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
