"""A limit on requests to the API server, so that a thousand models with news at once do not become a storm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Pace:
    """A token bucket: `burst` requests at once, then `rate` a second, in the order in which they came."""

    rate: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _tokens: float = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens, self._since = self.burst, self.clock()

    async def wait(self) -> None:
        """Return when a request may be sent. The token is taken at once, so whoever comes later waits longer."""
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._since) * self.rate) - 1
        self._since = now
        if self._tokens < 0:
            await self.sleep(-self._tokens / self.rate)
