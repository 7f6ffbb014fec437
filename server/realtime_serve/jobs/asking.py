"""How Redis is asked, and what its answers look like."""

from __future__ import annotations

from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from realtime_serve.errors import StoreUnavailable

SOCKET_SECONDS = 5.0


def connect(url: str, connections: int, socket_seconds: float) -> redis.asyncio.Redis:
    """Return a client that opens at most so many connections; a command waits for a free one."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=SOCKET_SECONDS,
        socket_timeout=socket_seconds,
        socket_connect_timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
    return redis.asyncio.Redis(connection_pool=pool)


async def ask(answer: Any) -> Any:
    """Await a command; whatever goes wrong with Redis becomes StoreUnavailable."""
    try:
        return await answer
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"the store of jobs: {type(error).__name__}: {error}") from error


def rows_of(found: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of the one stream that XREAD was asked for; its answer's shape hangs on the protocol."""
    if not found:
        return []
    if isinstance(found, dict):
        rows = next(iter(found.values()))
        return list(rows[0]) if rows and isinstance(rows[0], list) else list(rows)
    return list(found[0][1])


def milliseconds(seconds: float) -> int:
    """As Redis wants its times: whole, and never 0."""
    return max(1, round(seconds * 1000))
