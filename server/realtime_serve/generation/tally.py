"""How each version has done: counts since the process began, and the latency of the last minute. Pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from realtime_serve.errors import GenerationFailed, ModelNotReady, RequestError, RequestTimedOut

WINDOW_SECONDS = 60.0
MOST_SAMPLES = 8192  # of one kind and version; past that the oldest go before their minute is over

BLAMED = frozenset(kind.code for kind in (GenerationFailed, ModelNotReady, RequestTimedOut, RequestError))
"""Codes of the failures that a version answers for. What its clients or the server's limits cause is not among them."""


class Percentiles(NamedTuple):
    """Of the samples of one window, in their own unit."""

    samples: int
    p50: float | None
    p95: float | None
    p99: float | None


class Window:
    """The samples of the last minute."""

    def __init__(self, seconds: float = WINDOW_SECONDS, most: int = MOST_SAMPLES) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, float]] = deque(maxlen=most)

    def add(self, value: float, now: float) -> None:
        """Take a sample; times never go back."""
        self._samples.append((now, value))

    def values(self, now: float) -> list[float]:
        """Return what is in the window, the oldest first."""
        while self._samples and self._samples[0][0] <= now - self._seconds:
            self._samples.popleft()
        return [value for _, value in self._samples]

    def percentiles(self, now: float) -> Percentiles:
        """Return the nearest-rank percentiles; None where there is no sample."""
        found = sorted(self.values(now))
        return Percentiles(len(found), *(_rank(found, share) for share in (0.5, 0.95, 0.99)))


class VersionTally:
    """One version's counts and windows; times in seconds."""

    def __init__(self) -> None:
        self.requests = 0  # ended requests that it had taken, or failed to take
        self.errors = 0  # of those, failures that it answers for
        self.empty = 0  # of those, whole answers without any text
        self.first_token = Window()
        self.between_tokens = Window()  # mean of one request
        self.whole_request = Window()
        self.generated = Window()  # tokens of one request
        self.failed = Window()  # 1 for each failure, 0 for each other end

    def end(self, outcome: str, *, taken: bool, now: float) -> None:
        """A request has ended: `outcome` is a finish reason or an error's code; `taken`, whether the engine had it."""
        blamed = outcome in BLAMED
        if not taken and not blamed:
            return  # refused at the door: nothing was asked of this version
        self.requests += 1
        self.errors += blamed
        self.failed.add(float(blamed), now)


class Tally:
    """By model and version. They are few, and stay for as long as the process lives."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, VersionTally]] = {}

    def of(self, model: str, version: str) -> VersionTally:
        """Return the version's own, new or old."""
        return self.models.setdefault(model, {}).setdefault(version, VersionTally())


def _rank(found: list[float], share: float) -> float | None:
    return found[min(len(found) - 1, int(share * len(found)))] if found else None
