"""The server's token buckets, for a program that has callers of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from realtime_serve.api.checks import text, whole
from realtime_serve.callers.caller import Caller
from realtime_serve.callers.limiter import RateLimiter as Limiter
from realtime_serve.errors import RateLimited
from realtime_serve.settings.callers import RateLimit
from realtime_serve.settings.runtime import Settings

MOST = 1_000_000_000


class RateLimiter:
    """Two buckets for each client: of requests and of tokens.

    Args:
        tokens_per_minute: None for no limit.
        requests_per_minute: None for no limit.
        clock: seconds that never go back.

    Raises:
        ValueError: a limit is out of bounds, or there is none.

    >>> import asyncio
    >>> limiter = RateLimiter(tokens_per_minute=100, clock=lambda: 0.0)
    >>> [asyncio.run(limiter.check_rate_limit("me", tokens=60)) for _ in range(2)]
    [True, False]

    """

    def __init__(
        self,
        tokens_per_minute: int | None = None,
        *,
        requests_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if tokens_per_minute is None and requests_per_minute is None:
            raise ValueError("give tokens_per_minute, requests_per_minute, or both")
        for name, limit in (
            ("tokens_per_minute", tokens_per_minute),
            ("requests_per_minute", requests_per_minute),
        ):
            if limit is not None:
                whole(name, limit, 1, MOST)
        rate = RateLimit(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute)
        settings = Settings(rate_limit=rate)
        self._limiter = Limiter(lambda: settings, clock)

    async def check_rate_limit(self, client_id: str, tokens: int = 1) -> bool:
        """Take one request and so many tokens from the client's buckets; False, and nothing taken of tokens, where they lack.

        Raises:
            ValueError: a value is out of bounds.

        """
        text("client_id", client_id, longest=256)
        whole("tokens", tokens, 1, MOST)
        try:
            ticket = self._limiter.admit(Caller(client_id, client_id))
            ticket.reserve(tokens)
        except RateLimited:
            return False
        ticket.settle(tokens)
        return True
