"""The limits of callers in force: requests at the door, tokens once the prompt is known, and what is given back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

from realtime_serve.callers.bucket import Bucket, Hold, Quota
from realtime_serve.callers.caller import Caller
from realtime_serve.callers.table import Pair, Table
from realtime_serve.errors import RateLimited, Standing
from realtime_serve.settings.callers import Rate
from realtime_serve.settings.runtime import Settings

MINUTE = 60.0
LONGEST_WAIT_SECONDS = 120  # that a client is told; clients give up or hang on longer ones
MOST_STRANGERS = 10_000  # about 1 KiB each
MOST_CLIENTS = 1024  # the settings list fewer at any time; this many over time

Unit = Literal["requests", "tokens"]


class Ticket:
    """One request's place in its caller's limits, from the door to its end."""

    def __init__(self, limiter: RateLimiter, caller: Caller, pair: Pair) -> None:
        self._limiter = limiter
        self._caller = caller
        self._pair = pair
        self._tokens: Hold | None = None

    @property
    def standings(self) -> list[Standing]:
        """As of now; empty where nothing is limited."""
        return self._limiter.standings(self._caller, self._pair)

    def reserve(self, tokens: int) -> None:
        """Take what the request may need at most.

        Raises:
            RateLimited: it has to wait.

        """
        self._tokens = self._limiter.take(self._caller, self._pair, "tokens", tokens)

    def settle(self, used: int) -> None:
        """Give back the tokens that were reserved and neither read nor made."""
        if self._tokens is not None:
            self._pair.tokens.settle(self._tokens, used)


class RateLimiter:
    """Reads the settings at each request, so that every change holds from the next one on."""

    def __init__(self, settings: Callable[[], Settings], clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._clients = Table(MOST_CLIENTS)  # strangers, however many, never push a client out
        self._strangers = Table(MOST_STRANGERS)

    def admit(self, caller: Caller) -> Ticket:
        """Take one request.

        Raises:
            RateLimited: it has to wait.

        """
        table = self._clients if caller.client else self._strangers
        pair = table.of(caller.bucket, self._clock())
        if (hold := self.take(caller, pair, "requests", 1)) is not None:
            pair.requests.settle(hold, 1)
        return Ticket(self, caller, pair)

    def take(self, caller: Caller, pair: Pair, unit: Unit, amount: int) -> Hold | None:
        """Take from one bucket; None where it has no limit."""
        quota = self._quotas(caller)[unit]
        if quota is None:
            return None
        bucket = _bucket(pair, unit)
        if wait := bucket.wait(amount, quota, self._clock()):
            seconds = min(LONGEST_WAIT_SECONDS, max(1, math.ceil(wait)))
            raise RateLimited(unit, seconds, self.standings(caller, pair))
        return bucket.take(amount)

    def standings(self, caller: Caller, pair: Pair) -> list[Standing]:
        """Return how the caller stands with each limit that it has."""
        found = []
        for unit, quota in self._quotas(caller).items():
            if quota is None:
                continue
            bucket = _bucket(pair, unit)
            bucket.flow(quota.rate, self._clock())
            remaining = max(0, math.floor(quota.capacity - bucket.load))
            found.append(Standing(unit, round(quota.rate * MINUTE), remaining, bucket.load / quota.rate))
        return found

    def _quotas(self, caller: Caller) -> dict[Unit, Quota | None]:
        settings = self._settings()
        return quotas(_rate(caller, settings), share=1 / settings.replicas)


def quotas(rate: Rate | None, *, share: float) -> dict[Unit, Quota | None]:
    """Return a pod's share of a limit. `burst` counts requests; without it a minute's worth may come at once."""
    if rate is None:
        return {"requests": None, "tokens": None}
    burst = rate.burst or rate.requests_per_minute
    return {
        "requests": _quota(rate.requests_per_minute, burst, share),
        "tokens": _quota(rate.tokens_per_minute, rate.tokens_per_minute, share),
    }


def _quota(per_minute: int | None, capacity: int | None, share: float) -> Quota | None:
    if per_minute is None or capacity is None:
        return None
    return Quota(per_minute / MINUTE * share, capacity * share)


def _rate(caller: Caller, settings: Settings) -> Rate | None:
    own = next((client.rate_limit for client in settings.clients if client.name == caller.client), None)
    return own or settings.rate_limit


def _bucket(pair: Pair, unit: Unit) -> Bucket:
    return pair.requests if unit == "requests" else pair.tokens
