"""Streamed completions over HTTP, asked for in the same way of every server: by clients that wait, or as they happen to come."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
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

    @property
    def first(self) -> float:
        """The time to the first token, in seconds."""
        return self.events[0] - self.begin

    def pace(self, tokens: int) -> float:
        """The mean time for each of its tokens but the first, in seconds."""
        return (self.events[-1] - self.events[0]) / (tokens - 1)


@dataclass(frozen=True)
class Run:
    """All answers of one load."""

    seconds: float
    tokens: int
    answers: tuple[Answer, ...]

    @property
    def speed(self) -> float:
        """Output tokens a second."""
        return self.tokens / self.seconds

    def first(self, share: float) -> float:
        """The time to the first token in milliseconds, at this percentile."""
        return 1000 * percentile([answer.first for answer in self.answers], share)

    def gap(self, share: float) -> float:
        """The time between two events in milliseconds, at this percentile."""
        gaps = [after - before for answer in self.answers for before, after in pairwise(answer.events)]
        return 1000 * percentile(gaps, share)


async def closed_loop(server: Server, prompts: list[str], tokens: int, concurrency: int) -> Run:
    """Every prompt once, so many at a time: each client asks again when it has its answer. Raises as `_ask`."""
    waiting = iter(prompts)
    async with _session() as session:

        async def client() -> list[Answer]:
            return [await _ask(session, server, prompt, tokens) for prompt in waiting]

        begin = time.monotonic()
        found = await asyncio.gather(*(client() for _ in range(concurrency)))
        seconds = time.monotonic() - begin
    return Run(seconds, len(prompts) * tokens, tuple(answer for some in found for answer in some))


async def open_loop(server: Server, prompts: list[str], tokens: int, rate: float, seed: int) -> Run:
    """Every prompt once, whatever the server has still to do: so many a second by a Poisson process. Raises as `_ask`."""
    chance = random.Random(seed)  # noqa: S311  # times, not keys
    times = accumulate(chance.expovariate(rate) for _ in prompts)
    async with _session() as session:
        begin = time.monotonic()

        async def request(after: float, prompt: str) -> Answer:
            await asyncio.sleep(begin + after - time.monotonic())
            return await _ask(session, server, prompt, tokens)

        arriving = zip(times, prompts, strict=True)
        answers = await asyncio.gather(*(request(after, prompt) for after, prompt in arriving))
        seconds = time.monotonic() - begin
    return Run(seconds, len(prompts) * tokens, tuple(answers))


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    # llama-server closes connections that it promises to keep: every request has its own, with every server.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session:
        yield session


async def _ask(session: aiohttp.ClientSession, server: Server, prompt: str, tokens: int) -> Answer:
    """One answer. Raises RuntimeError where it is not whole."""
    body = {"model": server.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
    begin, events, reason = time.monotonic(), [], None
    async with session.post(f"{server.url}/v1/completions", json={**body, **server.extra}) as response:
        if response.status != 200:
            raise RuntimeError(f"{server.name}: {response.status} {await response.text()}")
        async for line in response.content:
            for choice in _choices(line):
                if choice.get("text"):
                    events.append(time.monotonic())
                reason = choice.get("finish_reason") or reason
    if reason != "length" or not events:
        raise RuntimeError(f"{server.name}: an answer of {len(events)} events that ended by {reason}")
    return Answer(begin, tuple(events))


def _choices(line: bytes) -> Iterator[dict[str, Any]]:
    name, _, data = line.strip().partition(b":")
    if name == b"data" and data.strip() != b"[DONE]":
        yield from msgspec.json.decode(data).get("choices") or ()
