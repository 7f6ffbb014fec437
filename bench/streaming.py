"""What streams cost outside the engine, and what readers that do not read cost the others. The engine only echoes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from bench.readers import Reader, begin, read_all, request, stall
from bench.report import write
from hack.ports import free_port
from tests.support.echo_process import EchoProcess
from tests.support.tiny_tokenizers import write_tokenizer

READING, STALLED, TOKENS, STEP_SECONDS, PAIRS = 240, 16, 120, 0.1, 3
STREAMS, EACH = 64, 400
PACE_SECONDS = 0.02
PROMPT = "abcdefgh"
SETTINGS = {
    "batching": {"maxBatchSize": 512, "maxBatchTokens": 16384, "maxWaitMs": 5, "dynamic": True},
    "limits": {"maxConnections": 1024, "maxQueue": 1024, "maxTokens": 4096, "requestTimeoutSeconds": 600},
    "streaming": {"bufferTokens": 64, "idleTimeoutSeconds": 600},
}


class Cost(NamedTuple):
    """Of tokens that went through one process."""

    tokens: int
    events: int
    """Fewer where tokens came together."""
    seconds: float
    processor: float
    """Seconds of processor time of that process."""

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds

    @property
    def microseconds(self) -> float:
        return 1e6 * self.processor / self.tokens


@contextlib.asynccontextmanager
async def server(step_seconds: float) -> AsyncIterator[EchoProcess]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "settings.json").write_text(json.dumps(SETTINGS))
        environment = {
            "REALTIME_SERVE_SETTINGS": str(folder / "settings.json"),
            "REALTIME_SERVE_LOG_LEVEL": "error",
        }
        async with EchoProcess(
            write_tokenizer(folder), step_seconds=step_seconds, environment=environment
        ) as running:
            yield running


@contextlib.asynccontextmanager
async def bare_loop() -> AsyncIterator[tuple[int, int]]:
    """(port, process id)"""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.bare_loop", str(port))
    try:
        while True:
            with contextlib.suppress(ConnectionError):
                await read_all(port, [request(max_tokens=1)])
                break
            await asyncio.sleep(0.1)
        yield port, process.pid
    finally:
        process.kill()
        await process.wait()


def pid_of(running: EchoProcess) -> int:
    if running._process is None:  # noqa: SLF001  the bench weighs it
        raise RuntimeError("the server does not run")
    return running._process.pid  # noqa: SLF001


async def measure(port: int, pid: int, **more: float) -> Cost:
    process = psutil.Process(pid)
    asked = [request(prompt=PROMPT, max_tokens=EACH, **more)] * STREAMS
    before = process.cpu_times()
    readers = await read_all(port, asked)
    after = process.cpu_times()
    first = min(reader.times[0] for reader in readers)
    last = max(reader.times[-1] for reader in readers)
    spent = after.user + after.system - before.user - before.system
    events = sum(len(reader.times) for reader in readers)
    return Cost(STREAMS * EACH, events, last - first, spent)


async def ceiling() -> list[str]:
    """Ours and the bare loop in turns."""
    async with server(0.0) as ours, bare_loop() as (port, pid):
        own = pid_of(ours)
        await measure(ours.port, own)
        runs = [(await measure(ours.port, own), await measure(port, pid)) for _ in range(PAIRS)]
    async with server(PACE_SECONDS) as ours, bare_loop() as (port, pid):
        steady = [
            (await measure(ours.port, pid_of(ours)), await measure(port, pid, pace=PACE_SECONDS))
            for _ in range(PAIRS)
        ]
    pace = f"a token every {1000 * PACE_SECONDS:.0f} ms"
    names = ("this server", "bare aiohttp loop", f"this server, {pace}", f"bare aiohttp loop, {pace}")
    rows = [
        f"| {name} | {median(c.rate for c in costs):.0f} | {median(c.microseconds for c in costs):.1f} | {median(c.tokens / c.events for c in costs):.2f} |"
        for name, costs in zip(names, (*zip(*runs, strict=True), *zip(*steady, strict=True)), strict=True)
    ]
    ratio = median(mine.rate / bare.rate for mine, bare in runs)
    head = ["| what | tokens/s | processor time a token, µs | tokens an event |", "|---|---|---|---|"]
    return [*head, *rows, f"| ratio (median of the pairs) | {ratio:.2f} | | |"]


class Spread(NamedTuple):
    """Gaps between tokens, in milliseconds, and how much memory the front end then had, in MiB."""

    p50: float
    p99: float
    memory: int


async def gaps(running: EchoProcess, stalled: int) -> Spread:
    asked = request(prompt=PROMPT, max_tokens=TOKENS)
    silent = [await stall(running.port, request(prompt=PROMPT, max_tokens=2000)) for _ in range(stalled)]
    try:
        readers = await begin(running.port, [asked] * READING)
        await asyncio.gather(*[reader.done for reader in readers])
        memory = psutil.Process(pid_of(running)).memory_info().rss >> 20
    finally:
        for connection in silent:
            connection.close()
    check(readers)
    found = sorted(gap for reader in readers for gap in reader.gaps[TOKENS // 10 :])
    return Spread(1000 * found[len(found) // 2], 1000 * found[len(found) * 99 // 100], int(memory))


def check(readers: list[Reader]) -> None:
    """Tokens that come together are one event; gaps between few events would say little."""
    short = sum(len(reader.times) < TOKENS / 2 for reader in readers)
    if short:
        raise RuntimeError(f"{short} streams got most of their tokens together: the machine is too busy")


async def slow_readers() -> list[str]:
    async with server(STEP_SECONDS) as running:
        await gaps(running, 0)
        runs = [(await gaps(running, 0), await gaps(running, STALLED)) for _ in range(PAIRS)]
    rows = [
        f"| {name} | {median(s.p50 for s in spreads):.1f} | {median(s.p99 for s in spreads):.1f} | {max(s.memory for s in spreads)} |"
        for name, spreads in zip(
            (f"{READING} that read", f"and {STALLED} that do not"), zip(*runs, strict=True), strict=True
        )
    ]
    ratio = median(stalled.p99 / alone.p99 for alone, stalled in runs)
    head = ["| streams | p50, ms | p99, ms | front end, MiB |", "|---|---|---|---|"]
    return [*head, *rows, f"| ratio (median of the pairs) | | {ratio:.2f} | |"]


async def run() -> list[str]:
    return [
        f"## One front end: {STREAMS} streams of {EACH} tokens",
        "",
        *await ceiling(),
        "",
        f"## Time between the tokens of {READING} streams, a step every {1000 * STEP_SECONDS:.0f} ms",
        "",
        *await slow_readers(),
    ]


def main() -> None:
    about = (
        f"The echo engine in place of a model, on the same machine as the clients. Medians of {PAIRS} interleaved pairs; "
        f"the bare loop writes the same bytes a token and does nothing else. Where the server falls behind the engine, tokens that wait "
        f"become one event: that is most of what the first ratio shows. Processor time is that of the one process that serves."
    )
    write("streaming", "Streams outside the engine", about, asyncio.run(run()))
