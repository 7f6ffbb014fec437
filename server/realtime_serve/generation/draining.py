"""Whether this server takes new work: orders to drain, and the end of the process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from realtime_serve.settings.annotations import DRAIN, RETIRE, parse_annotations

log = logging.getLogger("realtime_serve.drain")

STILL_SERVED_SECONDS = 5.0  # endpoints lag behind an order, so requests keep coming, and are served


class Drain:
    """An order to drain can be taken back; the process's end cannot."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ordered_at: float | None = None
        self.terminating = False
        self.retiring = False
        """Told to leave the endpoints, which a drain alone does not do: others are to get the traffic from now on."""

    @property
    def active(self) -> bool:
        """Whether every response shall tell its client to open no more requests on its connection."""
        return self._ordered_at is not None

    @property
    def refuses(self) -> bool:
        """Whether a new generation request is refused."""
        return self._ordered_at is not None and self._clock() - self._ordered_at >= STILL_SERVED_SECONDS

    async def obey(self, annotations: bytes | OSError) -> None:
        """Follow the pod's annotations: the order to drain is there or it is not. Unreadable is no news."""
        if isinstance(annotations, OSError):
            log.warning("the pod's annotations cannot be read: %s", annotations.strerror)
            return
        orders = parse_annotations(annotations)
        self.retiring = RETIRE in orders
        if DRAIN in orders:
            self.order()
        else:
            self.take_back()

    def order(self) -> None:
        """Begin to drain; again is no change."""
        if self._ordered_at is None:
            self._ordered_at = self._clock()
            log.info("draining")

    def take_back(self) -> None:
        """Serve as before, unless the process is ending."""
        if self.active and not self.terminating:
            self._ordered_at = None
            log.info("no longer draining")

    def terminate(self) -> None:
        """The process is ending: drain, and be no longer ready."""
        self.order()
        self.terminating = True
