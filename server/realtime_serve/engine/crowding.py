"""How many threads multiply: as many as there are cores, and fewer while other processes keep them waiting.

Threads of one multiplication wait for the slowest. One that has no core holds up all others, at every kernel of a step; with a
core less to ask for, the step takes as long as its share of the machine allows. Two engines on the same cores are what every
swap is.
"""

from __future__ import annotations

import math

CROWDED = 0.25
"""Of the time in which threads could have run, what they waited. A front end at work stays below it; another process that takes
one of two cores costs a third."""
PATIENCE_SECONDS = (2.0, 60.0)
"""Before more threads are tried again: at first, and at most."""


class Crowding:
    def __init__(self, cores: int) -> None:
        self.threads = self._most = cores
        self._patience = PATIENCE_SECONDS[0]
        self._retry_at = -math.inf
        self._trying = False

    def look(self, ran: float, waited: float, now: float) -> int:
        """The number of threads from now on. ran, waited: seconds of all threads together since the last look."""
        share = waited / (ran + waited)
        if share > CROWDED:
            if self._trying:
                self._patience = min(2 * self._patience, PATIENCE_SECONDS[1])
            self.threads = max(1, min(self.threads - 1, round(self.threads * (1 - share))))
            self._retry_at = now + self._patience
            self._trying = False
            return self.threads
        if self._trying:
            self._patience, self._trying = PATIENCE_SECONDS[0], False
        if self.threads < self._most and now >= self._retry_at:
            self.threads += math.ceil((self._most - self.threads) / 2)
            self._trying = True
        return self.threads
