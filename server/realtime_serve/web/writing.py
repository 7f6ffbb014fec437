"""Writing to readers that may be slow: how much waits for one, and for how long it may take nothing."""

from __future__ import annotations

import asyncio
import socket
from typing import NoReturn

from aiohttp import web

from realtime_serve.errors import ReaderIdle

# Bytes that may wait for a slow reader, in this process and unsent in the kernel. Past them the sequence waits.
HIGH_WATER = 16 * 1024


class Writer:
    """Writes one response, as fast as its reader takes it. Each method but `begin` raises ReaderIdle."""

    def __init__(self, request: web.Request, response: web.StreamResponse, *, idle_seconds: float) -> None:
        self._request = request
        self._protocol = request.protocol
        self._response = response
        self._idle_seconds = idle_seconds

    @property
    def full(self) -> bool:
        """Whether as much waits for the reader as may."""
        return self._protocol.writing_paused

    async def begin(self) -> None:
        """Send the headers with the first bytes, and let no more wait than HIGH_WATER."""
        await self._response.prepare(self._request)
        transport = self._request.transport
        if transport is None:
            return
        transport.set_write_buffer_limits(high=HIGH_WATER)
        connection = transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, HIGH_WATER)

    async def put(self, data: bytes) -> None:
        """Write; return when there is room for more."""
        for begin in range(0, len(data), HIGH_WATER):
            # At 64 KiB by this count aiohttp itself would wait for the reader, and without an end.
            self._request.writer.buffer_size = 0
            await self._response.write(data[begin : begin + HIGH_WATER])
            if self._protocol.writing_paused:
                await self._drained()

    async def end(self) -> None:
        """End the response, and return when all of it has left this process."""
        if self._request.transport is not None:
            self._request.transport.set_write_buffer_limits(high=0)
            await self._drained()
        try:
            async with asyncio.timeout(self._idle_seconds):
                await self._response.write_eof()
        except TimeoutError:
            self._give_up()

    async def _drained(self) -> None:
        """Wait for room; each time that the reader took something it gets the whole time anew."""
        while (transport := self._request.transport) is not None:
            waiting = transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._request.writer.drain()
            except TimeoutError:
                if transport.get_write_buffer_size() >= waiting:
                    self._give_up()
            else:
                return

    def _give_up(self) -> NoReturn:
        if self._request.transport is not None:
            self._request.transport.abort()
        raise ReaderIdle(f"the client took nothing for {self._idle_seconds} s")


async def send_json(request: web.Request, body: bytes, *, idle_seconds: float) -> web.StreamResponse:
    """Write a whole answer here, not after the handler: what is being written still counts as active."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    writer = Writer(request, response, idle_seconds=idle_seconds)
    await writer.begin()
    await writer.put(body)
    await writer.end()
    return response
