"""Clients that speak HTTP badly: each leaves the server as it found it, or the server has a leak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable

Client = Callable[[int, random.Random], Awaitable[None]]

PATIENCE = 30.0  # seconds; only ever used up by a failure
BODY = {"model": "chat", "prompt": "abcdef" * 20, "max_tokens": 60, "stream": True}


def request(path: str = "/v1/completions", **fields: object) -> bytes:
    body = json.dumps(BODY | fields).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def drained(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server ends the connection."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST in place of an orderly end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def half_closed(port: int, chance: random.Random) -> None:
    """Says all that it has to say, and listens to the end."""
    reader, writer = await connect(port)
    writer.write(request())
    writer.write_eof()
    await drained(reader)
    writer.close()


async def byte_by_byte(port: int, chance: random.Random) -> None:
    """Is slow in both directions, and gets its whole answer all the same."""
    reader, writer = await connect(port)
    for byte in request(max_tokens=5).replace(b"Host", b"Connection: close\r\nHost"):
        writer.write(bytes([byte]))
        await writer.drain()
    answer = b""
    async with asyncio.timeout(PATIENCE):
        while byte_ := await reader.read(1):
            answer += byte_
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    assert b"data: [DONE]" in answer
    writer.close()


async def leaves_in_the_head(port: int, chance: random.Random) -> None:
    """Goes away somewhere in the request."""
    _, writer = await connect(port)
    whole = request()
    writer.write(whole[: chance.randrange(1, len(whole))])
    await writer.drain()
    chance.choice([reset, asyncio.StreamWriter.close])(writer)


async def leaves_in_the_stream(port: int, chance: random.Random) -> None:
    """Goes away somewhere in the answer."""
    reader, writer = await connect(port)
    writer.write(request(max_tokens=400))
    async with asyncio.timeout(PATIENCE):
        await reader.readexactly(chance.randrange(1, 2000))
    chance.choice([reset, asyncio.StreamWriter.close])(writer)


async def too_much(port: int, chance: random.Random) -> None:
    """Sends ten megabytes to a server that takes eight."""
    reader, writer = await connect(port)
    size = 10 << 20
    head = f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    with contextlib.suppress(ConnectionError):
        writer.write(head.encode())
        for _ in range(size >> 16):
            writer.write(b" " * (1 << 16))
            await writer.drain()
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            assert b" 413 " in await reader.readline()
    reset(writer)


async def noise(port: int, chance: random.Random) -> None:
    """Speaks no HTTP, or almost."""
    reader, writer = await connect(port)
    whole = bytearray(request().replace(b"Host", b"Connection: close\r\nHost"))
    for _ in range(chance.randrange(1, 30)):
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    writer.write(bytes(whole))
    writer.write_eof()
    answer = await drained(reader)
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:300]
    writer.close()


async def several_at_once(port: int, chance: random.Random) -> None:
    """Sends its requests without waiting for answers."""
    reader, writer = await connect(port)
    last = request(stream=False, max_tokens=3).replace(b"Host", b"Connection: close\r\nHost")
    writer.write(request(stream=False, max_tokens=3) * 3 + last)
    answer = await drained(reader)
    assert answer.count(b"HTTP/1.1 200") == 4, answer[:300]
    writer.close()


CLIENTS: tuple[Client, ...] = (
    half_closed,
    byte_by_byte,
    leaves_in_the_head,
    leaves_in_the_stream,
    too_much,
    noise,
    several_at_once,
)
