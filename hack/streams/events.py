"""Server-sent events out of the bytes of a body."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hack.streams.stream import Cut, Garbled

SSE_FIELDS = ("event:", "id:", "retry:", ":")


async def read_events(body: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Data of each server-sent event."""
    rest = b""
    async for received in body:
        *events, rest = (rest + received).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in events:
            lines = event.decode().strip("\n").split("\n")
            strange = [line for line in lines if line and not line.startswith(("data:", *SSE_FIELDS))]
            if strange:
                raise Garbled(f"not a line of an event stream: {strange[0][:80]!r}")
            if data := [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]:
                yield "\n".join(data)
    if rest.strip():
        raise Cut(f"the body ends inside an event: {rest[:80]!r}")
