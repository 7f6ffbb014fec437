"""`python -m bench.resume`: jobs whose readers are cut at random tokens, and what became of each text.

Every job is asked for once without a cut as well (POST /v1/completions), and its text is compared with that. The engine is the tests' echo
engine: the texts differ from job to job, and their characters lie across the borders of tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.echo_process import EchoProcess
from tests.support.event_source import EventSource
from tests.support.redis_server import redis_server
from tests.support.tiny_tokenizers import write_tokenizer

TOKENS = 96
STEP_SECONDS = 0.002
ENVIRONMENT = {"ECHO_LEASE_SECONDS": "1"}
KINDS = {
    "memory, one server": (1, False, False),
    "Redis, one server": (1, True, False),
    "Redis, two servers": (2, True, False),
    "Redis, two servers, one killed": (2, True, True),
}
PATIENCE = 120.0


@dataclass
class Seen:
    """How many jobs there were of each kind of end."""

    jobs: int = 0
    cuts: int = 0
    whole: int = 0
    told: int = 0  # ended by `server_lost`, after nothing but the right text
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Crowd:
    """Readers of jobs on servers that may be killed."""

    def __init__(self, servers: list[EchoProcess], chance: random.Random) -> None:
        self.seen = Seen()
        self._servers = servers
        self._alive = list(servers)
        self._chance = chance
        self._ended = asyncio.Event()

    async def run(self, count: int, *, kill: bool) -> Seen:
        """Begin so many jobs and read each to its end."""
        uncut = await asyncio.gather(*[self._ask(number) for number in range(count)])
        begin = time.monotonic()
        ids = await asyncio.gather(*[self._begin(number) for number in range(count)])
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for job_id, text in zip(ids, uncut, strict=True):
                group.create_task(self._read(job_id, text))
            if kill:
                group.create_task(self._kill(count // 4))
        self.seen.seconds = time.monotonic() - begin
        return self.seen

    async def _ask(self, number: int) -> str:
        server = self._servers[number % len(self._servers)]
        async with server.client.post("/v1/completions", json=body(number)) as response:
            text: str = (await response.json())["choices"][0]["text"]
            return text

    async def _begin(self, number: int) -> str:
        server = self._servers[number % len(self._servers)]
        async with server.client.post("/v1/jobs", json=body(number)) as response:
            job_id: str = (await response.json())["job_id"]
            return job_id

    async def _read(self, job_id: str, text: str) -> None:
        chance = self._chance
        places = sorted(chance.sample(range(1, TOKENS // 2), chance.randint(1, 3)))
        source = EventSource(self._servers[0].client, job_id)
        for place in places:
            await self._take(source, place)
            self.seen.cuts += 1
        while not source.over:
            await self._take(source, None)
        self._book(source, text)

    async def _take(self, source: EventSource, upto: int | None) -> None:
        """Read to this event, or the end, at any server; one that dies meanwhile is a cut like another."""
        while not source.over and (upto is None or source.last_id < upto):
            source.client = self._chance.choice(self._alive).client
            with contextlib.suppress(aiohttp.ClientConnectionError):
                await source.read(None if upto is None else upto - source.last_id)

    def _book(self, source: EventSource, text: str) -> None:
        seen, end = self.seen, source.end.json
        seen.jobs += 1
        if source.text == text and end["state"] == "complete":
            seen.whole += 1
        elif end["reason"] == "server_lost" and text.startswith(source.text):
            seen.told += 1
        else:
            seen.wrong.append(f"{source.job_id}: {end} {source.text!r} and not {text!r}")
        self._ended.set()

    async def _kill(self, after: int) -> None:
        while self.seen.jobs < after:
            self._ended.clear()
            await self._ended.wait()
        victim = self._alive.pop()
        victim.kill()


def body(number: int) -> dict[str, object]:
    return {"model": "chat", "prompt": f"job {number}: é 🌍 ", "max_tokens": TOKENS, "ignore_eos": True}


async def measure(kind: str, count: int, *, seed: int, folder: Path) -> Seen:
    """Run one kind. The two servers share nothing but Redis."""
    number, with_redis, kill = KINDS[kind]
    directory = folder / "model"
    if not directory.exists():
        directory.mkdir()
        write_tokenizer(directory)
    async with contextlib.AsyncExitStack() as stack:
        url = stack.enter_context(redis_server(folder)).url if with_redis else ""
        servers = [await stack.enter_async_context(_server(directory, url)) for _ in range(number)]
        return await Crowd(servers, random.Random(seed)).run(count, kill=kill)  # noqa: S311  not a secret


@contextlib.asynccontextmanager
async def _server(directory: Path, url: str) -> AsyncIterator[EchoProcess]:
    server = EchoProcess(directory, step_seconds=STEP_SECONDS, redis_url=url, environment=ENVIRONMENT)
    async with server:
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        "| | jobs | cuts | whole | told that their server died | wrong | s |\n|---|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            seen = asyncio.run(measure(kind, options.jobs, seed=options.seed, folder=Path(folder)))
        row = (kind, seen.jobs, seen.cuts, seen.whole, seen.told, len(seen.wrong), f"{seen.seconds:.1f}")
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        for wrong in seen.wrong[:3]:
            print(wrong)


if __name__ == "__main__":
    main()
