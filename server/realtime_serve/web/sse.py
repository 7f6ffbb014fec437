"""Server-sent events to one reader: kept alive while there is nothing to say."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

from realtime_serve.settings.runtime import Streaming
from realtime_serve.web.writing import Writer

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
KEEP_ALIVE = b": keep-alive\n\n"


class EventStream:
    """A context: inside it events are sent; leaving it ends the response."""

    def __init__(self, request: web.Request, streaming: Streaming) -> None:
        self.response = web.StreamResponse(headers=HEADERS)
        self._writer = Writer(request, self.response, idle_seconds=streaming.idle_timeout_seconds)
        self._heartbeat_seconds = streaming.heartbeat_seconds
        self._loop = asyncio.get_running_loop()
        self._last_write = self._loop.time()
        self._heart: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._writer.begin()
        self._heart = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if kind is None:
            await self._writer.end()

    async def send(self, events: bytes) -> None:
        """Write encoded events; return when the reader has room for more.

        Raises:
            ReaderIdle: it took nothing for too long; its connection is closed.

        """
        self._last_write = self._loop.time()
        await self._writer.put(events)

    async def _beat(self) -> None:
        while True:
            silence = self._loop.time() - self._last_write
            if silence < self._heartbeat_seconds:
                await asyncio.sleep(self._heartbeat_seconds - silence)
                continue
            self._last_write = self._loop.time()
            if self._writer.full:  # then there is enough to read
                continue
            try:
                await self.response.write(KEEP_ALIVE)
            except ConnectionError:
                return  # the handler is being cancelled
