"""Token streams between a producer and a reader of one program."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import msgspec

from realtime_serve.api.checks import between, text, whole
from realtime_serve.generation.inference import StreamToken
from realtime_serve.jobs.card import Card, State, Timings
from realtime_serve.jobs.event import TOKEN, Event
from realtime_serve.jobs.memory import MemoryReader, MemoryStore


class StreamStats(NamedTuple):
    """Of one stream."""

    tokens: int
    seconds: float
    closed: bool


class _Stream:
    def __init__(self, stream_id: str, now: float) -> None:
        self.card = Card(
            job_id=stream_id, model="", kind="stream", request_id=stream_id, metrics=Timings(t_start=now)
        )
        self.begun = self.moved = now  # moved: the last token that was pushed or taken
        self.pushed = 0
        self.reader: MemoryReader | None = None


class StreamManager:
    """Bounded streams: `push_token` waits while an attached reader lags by a whole buffer.

    Args:
        buffer_tokens: of one stream.
        idle_timeout: seconds without a token pushed or taken, after which `cleanup` ends a stream.
        max_streams: closed ones that are kept for readers that come late.

    Raises:
        ValueError: a value is out of bounds.

    >>> import asyncio
    >>> async def example():
    ...     streams = StreamManager()
    ...     tokens = streams.create_stream("s")
    ...     await streams.push_token("s", StreamToken("Hello"))
    ...     await streams.close_stream("s")
    ...     return [token.text async for token in tokens]
    >>> asyncio.run(example())
    ['Hello']

    """

    def __init__(
        self,
        *,
        buffer_tokens: int = 1024,
        idle_timeout: float = 60.0,
        max_streams: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        whole("buffer_tokens", buffer_tokens, 1, 1_048_576)
        whole("max_streams", max_streams, 1, 1_000_000)
        between("idle_timeout", idle_timeout, 0, 86_400)
        self._clock = clock
        self._idle_timeout = idle_timeout
        self._streams: dict[str, _Stream] = {}
        self._store = MemoryStore(
            lambda: idle_timeout, events_a_job=buffer_tokens, ended_jobs=max_streams, clock=clock
        )

    def create_stream(self, stream_id: str) -> AsyncIterator[StreamToken]:
        """Begin a stream; return its reader, which ends when the stream is closed.

        Raises:
            ValueError: the id is taken.

        """
        text("stream_id", stream_id, longest=128)
        if stream_id in self._streams:
            raise ValueError(f"stream_id: {stream_id!r} is taken")
        stream = self._streams[stream_id] = _Stream(stream_id, self._clock())
        self._store.add(stream.card)
        stream.reader = self._store.attach(stream_id, 0)
        return self._read(stream, stream.reader)

    async def push_token(self, stream_id: str, token: StreamToken) -> None:
        """Add a token; wait while the reader lags too far.

        Raises:
            KeyError: there is no such stream, or it is closed.

        """
        stream = self._open(stream_id)
        stream.pushed += 1
        await self._store.append(stream.card, Event(stream.pushed, TOKEN, msgspec.json.encode(token)))
        stream.moved = self._clock()

    async def close_stream(self, stream_id: str) -> None:
        """End a stream; its reader may still take what is in the buffer.

        Raises:
            KeyError: there is no such stream, or it is closed.

        """
        stream = self._open(stream_id)
        stream.card = msgspec.structs.replace(stream.card, state=State.COMPLETE)
        self._store.end(stream.card, Event(stream.pushed + 1, "job_complete", b""))

    async def cleanup(self) -> list[str]:
        """End the streams in which nothing moves, let their readers go, and forget closed ones; return the ids of the first."""
        oldest = self._clock() - self._idle_timeout
        idle = {
            stream_id: stream
            for stream_id, stream in self._streams.items()
            if stream.moved <= oldest and (stream.reader or not stream.card.over)
        }
        for stream_id, stream in idle.items():
            if not stream.card.over:
                await self.close_stream(stream_id)
            self._let_go(stream)
        await self._store.orders(())
        self._streams = {
            stream_id: stream for stream_id, stream in self._streams.items() if self._store.has(stream_id)
        }
        return [*idle]

    def stats(self) -> dict[str, StreamStats]:
        """Return what is known of each stream."""
        now = self._clock()
        return {
            stream_id: StreamStats(stream.pushed, now - stream.begun, stream.card.over)
            for stream_id, stream in self._streams.items()
        }

    async def _read(self, stream: _Stream, reader: MemoryReader) -> AsyncIterator[StreamToken]:
        over = False
        try:
            while not over:
                page = await reader.read(wait=True)
                stream.moved = self._clock()
                for event in page.events:
                    if not event.last:
                        yield msgspec.json.decode(event.data, type=StreamToken)
                over = page.over
        finally:
            self._let_go(stream)

    def _let_go(self, stream: _Stream) -> None:
        if stream.reader is not None:
            self._store.detach(stream.reader)
            stream.reader = None

    def _open(self, stream_id: str) -> _Stream:
        stream = self._streams.get(stream_id)
        if stream is None or stream.card.over:
            raise KeyError(f"no open stream {stream_id!r}")
        return stream
