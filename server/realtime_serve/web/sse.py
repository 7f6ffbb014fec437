"""Server-sent events to one reader: written only as fast as it takes them, kept alive, ended when it takes none."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Self

from aiohttp import web

from realtime_serve.errors import ReaderIdle
from realtime_serve.settings.runtime import Streaming

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
KEEP_ALIVE = b": keep-alive\n\n"

# Bytes that may wait for a slow reader, in this process and unsent in the kernel. Past them the sequence waits.
HIGH_WATER = 16 * 1024


class EventStream:
    """A context: inside it events are sent; leaving it ends the response."""

    def __init__(self, request: web.Request, streaming: Streaming) -> None:
        self._request = request
        self._heartbeat_seconds = streaming.heartbeat_seconds
        self._idle_seconds = streaming.idle_timeout_seconds
        self._response = web.StreamResponse(headers=HEADERS)
        self._loop = asyncio.get_running_loop()
        self._last_write = self._loop.time()
        self._heart: asyncio.Task[None] | None = None

    @property
    def response(self) -> web.StreamResponse:
        """What the handler returns."""
        return self._response

    async def __aenter__(self) -> Self:
        await self._response.prepare(self._request)
        self._bound_buffers()
        self._heart = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if kind is None:
            await self._end()

    async def send(self, events: bytes) -> None:
        """Write encoded events; return when the reader has room for more.

        Raises:
            ReaderIdle: it took nothing for too long; its connection is closed.

        """
        self._last_write = self._loop.time()
        await self._response.write(events)
        if self._request.protocol.writing_paused:
            await self._drained()

    async def _end(self) -> None:
        """Count as written only what has left this process."""
        transport = self._request.transport
        if transport is not None:
            transport.set_write_buffer_limits(high=0)
            await self._drained()
        await self._response.write_eof()

    async def _drained(self) -> None:
        """Wait for room; each time that the reader took something it gets the whole time again."""
        transport = self._request.transport
        while transport is not None:
            waiting = transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._request.writer.drain()
            except TimeoutError:
                if transport.get_write_buffer_size() >= waiting:
                    transport.abort()
                    raise ReaderIdle(f"the client took nothing for {self._idle_seconds} s") from None
            else:
                return

    async def _beat(self) -> None:
        while True:
            silence = self._loop.time() - self._last_write
            if silence < self._heartbeat_seconds:
                await asyncio.sleep(self._heartbeat_seconds - silence)
                continue
            self._last_write = self._loop.time()
            if self._request.protocol.writing_paused:  # then there is enough to read
                continue
            try:
                await self._response.write(KEEP_ALIVE)
            except ConnectionError:
                return  # the handler is being cancelled

    def _bound_buffers(self) -> None:
        transport = self._request.transport
        if transport is None:
            return
        transport.set_write_buffer_limits(high=HIGH_WATER)
        connection = transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, HIGH_WATER)
