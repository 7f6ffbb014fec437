"""Torch's threads on a CPU: all cores, or fewer while other processes want them."""

from __future__ import annotations

import logging
import time

import torch

from realtime_serve.engine.crowding import Crowding
from realtime_serve.engine.threads import run_and_delay, tells_delays

log = logging.getLogger("realtime_serve.model")

EVERY_SECONDS = 0.25
LEAST_SECONDS = 0.05
"""Of running and waiting: less says nothing."""


class Crew:
    def __init__(self, cores: int) -> None:
        torch.set_num_threads(cores)
        self._crowding = Crowding(cores) if cores > 1 and tells_delays() else None
        self._seen = (0.0, 0.0)
        self._due = 0.0

    def look(self) -> None:
        """Between two steps, on the thread that runs them: set how many take part in the next."""
        now = time.monotonic()
        if self._crowding is None or now < self._due:
            return
        self._due = now + EVERY_SECONDS
        try:
            seen = run_and_delay()
        except OSError as error:  # no reason to fail a step, and the streams with it
            log.warning("threads no longer follow the free cores", extra={"fields": {"reason": str(error)}})
            self._crowding = None
            return
        # A thread that has ended takes its time out of the sums with it.
        ran, waited = (max(0.0, after - before) for before, after in zip(self._seen, seen, strict=True))
        self._seen = seen
        if ran + waited < LEAST_SECONDS:
            return
        before = self._crowding.threads
        if (wanted := self._crowding.look(ran, waited, now)) != before:
            log.debug("threads", extra={"fields": {"from": before, "to": wanted}})
            torch.set_num_threads(wanted)
