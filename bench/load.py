"""A closed loop of streamed completions over HTTP, the same for every server: each client asks again when it has its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from bench.driving import percentile

if TYPE_CHECKING:
    from bench.servers import Server

PATIENCE = aiohttp.ClientTimeout(total=600)


@dataclass(frozen=True)
class Answer:
    """Our clock, in seconds: when it was asked for, and when each event with text came."""

    begin: float
    events: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """One closed loop."""

    seconds: float
    tokens: int
    answers: tuple[Answer, ...]

    @property
    def speed(self) -> float:
        """Output tokens a second."""
        return self.tokens / self.seconds

    def first(self, share: float) -> float:
        """The time to the first token in milliseconds, at this percentile."""
        return 1000 * percentile([answer.events[0] - answer.begin for answer in self.answers], share)

    def gap(self, share: float) -> float:
        """The time between two events in milliseconds, at this percentile."""
        gaps = [after - before for answer in self.answers for before, after in pairwise(answer.events)]
        return 1000 * percentile(gaps, share)


async def closed_loop(server: Server, prompts: list[str], tokens: int, concurrency: int) -> Run:
    """Every prompt once, so many at a time. Raises RuntimeError for an answer that is not whole."""
    body = {"model": server.model, "max_tokens": tokens, "temperature": 0, "stream": True}
    waiting = iter(prompts)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session:

        async def client() -> list[Answer]:
            return [await _ask(session, server.url, {**body, "prompt": prompt}) for prompt in waiting]

        begin = time.monotonic()
        found = await asyncio.gather(*(client() for _ in range(concurrency)))
        seconds = time.monotonic() - begin
    return Run(seconds, len(prompts) * tokens, tuple(answer for some in found for answer in some))


async def _ask(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Answer:
    begin, events, reason = time.monotonic(), [], None
    async with session.post(f"{url}/v1/completions", json=body) as response:
        if response.status != 200:
            raise RuntimeError(f"{url}: {response.status} {await response.text()}")
        async for line in response.content:
            for choice in _choices(line):
                if choice.get("text"):
                    events.append(time.monotonic())
                reason = choice.get("finish_reason") or reason
    if reason != "length" or not events:
        raise RuntimeError(f"{url}: an answer of {len(events)} events that ended by {reason}")
    return Answer(begin, tuple(events))


def _choices(line: bytes) -> Iterator[dict[str, Any]]:
    name, _, data = line.strip().partition(b":")
    if name == b"data" and data.strip() != b"[DONE]":
        yield from msgspec.json.decode(data).get("choices") or ()
