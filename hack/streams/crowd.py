"""Opens streams, many at a time, and reads each to its end."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from hack.streams.events import read_events
from hack.streams.report import describe, print_event
from hack.streams.stream import Cut, Garbled, Stream

REFUSALS = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
REFUSED_PAUSE = 0.2  # seconds before a refused worker asks again


@dataclass(frozen=True)
class Load:
    """What to ask for, and of whom."""

    url: str
    model: str
    prompts: Sequence[str]
    tokens: int
    stream: bool
    silence: float  # seconds without a byte after which a stream counts as cut

    def body(self, prompt: str) -> dict[str, Any]:
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if self.stream else {}
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self.tokens,
            "temperature": 0,
            "stream": self.stream,
            **options,
        }


async def run_stream(session: aiohttp.ClientSession, load: Load, number: int) -> Stream:
    """One request to its end, whatever that is."""
    stream = Stream(number, load.prompts[number % len(load.prompts)], load.tokens)
    try:
        await fill(stream, session, load)
    except Cut as error:
        stream.cut = str(error)
    except aiohttp.ClientConnectorError as error:
        stream.turned_away = True
        stream.cut = f"{type(error).__name__}: {error}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        stream.cut = f"{type(error).__name__}: {error}"
    except Garbled as error:
        stream.garbled = str(error)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        stream.garbled = f"{type(error).__name__}: {error}"
    except asyncio.CancelledError:
        stream.cut = "ended by a second signal"
    stream.ended_at = time.time()
    print_event("ended", **describe(stream))
    return stream


async def fill(stream: Stream, session: aiohttp.ClientSession, load: Load) -> None:
    body = load.body(stream.prompt)
    async with session.post(f"{load.url}/v1/chat/completions", json=body) as answer:
        stream.status = answer.status
        stream.version = answer.headers.get("X-Model-Version", "")
        stream.request_id = answer.headers.get("X-Request-Id", "")
        if answer.status != HTTPStatus.OK:
            stream.turned_away = answer.status in REFUSALS
            raise Cut(f"status {answer.status}: {(await answer.text())[:200]}")
        if not load.stream:
            stream.take_whole(await answer.text())
            return
        if answer.content_type != "text/event-stream":
            raise Garbled(f"content type {answer.content_type}")
        async for data in read_events(answer.content.iter_any()):
            waited = not stream.chunks
            stream.take(data)
            if waited and stream.chunks:
                print_event("started", stream=stream.number, version=stream.version, at=stream.first_token_at)


class Crowd:
    """Workers that each keep one stream open, until told to stop."""

    def __init__(self, load: Load, workers: int, *, once: bool, keep_alive: bool) -> None:
        self._load = load
        self._workers = workers
        self._once = once
        self._keep_alive = keep_alive
        self._numbers = itertools.count()
        self._stop = asyncio.Event()
        self._interrupted = False
        self._tasks: list[asyncio.Task[list[Stream]]] = []

    def stop(self) -> None:
        """Open no more; what runs goes on to its end."""
        self._stop.set()

    def interrupt(self) -> None:
        """For signals: the first one stops, a second one ends what runs."""
        if self._interrupted:
            for task in self._tasks:
                task.cancel()
        self._interrupted = True
        self.stop()
        print_event("stopping", running=sum(not task.done() for task in self._tasks))

    async def run(self) -> list[Stream]:
        connector = aiohttp.TCPConnector(limit=0, force_close=not self._keep_alive)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._load.silence)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._tasks = [asyncio.create_task(self._work(session)) for _ in range(self._workers)]
            return [stream for streams in await asyncio.gather(*self._tasks) for stream in streams]

    async def _work(self, session: aiohttp.ClientSession) -> list[Stream]:
        streams: list[Stream] = []
        while not self._stop.is_set():
            streams.append(await run_stream(session, self._load, next(self._numbers)))
            if self._once:
                break
            if streams[-1].status != HTTPStatus.OK:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), REFUSED_PAUSE)
        return streams
