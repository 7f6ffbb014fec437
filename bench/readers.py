"""Readers of event streams that cost next to nothing: they count events and note when each came."""

from __future__ import annotations

import asyncio
import json
import socket
import time

EVENT = b"\ndata: {"
NARROW = 4096
"""Bytes that the kernel keeps for a reader that does not read."""


def request(**fields: object) -> bytes:
    body = json.dumps({"model": "chat", "stream": True, "ignore_eos": True, **fields}).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Reader(asyncio.Protocol):
    """Reads one stream to its end."""

    def __init__(self, asked: bytes) -> None:
        self.asked = asked
        self.times: list[float] = []
        """When the events came, in seconds; those that came at once have the same."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(self.asked)

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data
        self.times += [time.monotonic()] * seen.count(EVENT)
        self._tail = seen[-len(EVENT) + 1 :]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.done.done():
            self.done.set_result(None)

    @property
    def gaps(self) -> list[float]:
        """Seconds from one event to the next."""
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


async def read_all(port: int, asked: list[bytes]) -> list[Reader]:
    """Read them all at once, each to its end."""
    readers = await begin(port, asked)
    await asyncio.gather(*[reader.done for reader in readers])
    return readers


async def begin(port: int, asked: list[bytes]) -> list[Reader]:
    loop = asyncio.get_running_loop()

    async def one(content: bytes) -> Reader:
        _, reader = await loop.create_connection(lambda: Reader(content), "127.0.0.1", port)
        return reader

    return list(await asyncio.gather(*[one(content) for content in asked]))


async def stall(port: int, asked: bytes) -> socket.socket:
    """Ask, and read nothing of the answer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, asked)
    return connection
