"""Closed loops against transformers' own continuous batching and against its bare forward, interleaved."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from bench.driving import engine, percentile, together
from bench.in_process import Peer, prompts
from bench.models import MODELS
from bench.report import write
from realtime_serve.engine.client import Engine

PROMPT = TOKENS = 64
CONCURRENCY = (1, 8, 32)
REPEATS = 3


async def ours(engine: Engine, batch: int, seed: int) -> tuple[float, float, float]:
    """Output tokens a second, median first token and p99 between tokens in milliseconds."""
    begin = time.monotonic()
    done = await together(engine, prompts(batch, PROMPT, seed), TOKENS)
    speed = batch * TOKENS / (time.monotonic() - begin)
    gaps = [gap for timed in done for gap in timed.gaps]
    return speed, 1000 * median(timed.first for timed in done), 1000 * percentile(gaps, 0.99)


async def measure(name: str) -> list[str]:
    directory = MODELS[name]()
    peers = [Peer("bench.peer", directory, "bfloat16", kind) for kind in ("continuous", "static")]
    rows = []
    async with engine(directory) as started:
        for batch in CONCURRENCY:
            mine, theirs = [], []
            for repeat in range(REPEATS):
                mine.append(await ours(started, batch, 100 * repeat + batch))
                theirs.append([peer.measure(batch, PROMPT, TOKENS, 100 * repeat + batch) for peer in peers])
            rows.append(row(name, batch, mine, theirs))
            print(rows[-1], flush=True)
    for peer in peers:
        peer.stop()
    return rows


def row(name: str, batch: int, mine: list[tuple[float, float, float]], theirs: list[list[float]]) -> str:
    speed, first, gap = (median(column) for column in zip(*mine, strict=True))
    continuous, static = (median(column) for column in zip(*theirs, strict=True))
    ratios = [median(m[0] / t[kind] for m, t in zip(mine, theirs, strict=True)) for kind in (0, 1)]
    return (
        f"| {name} | {batch} | {speed:.0f} | {continuous:.0f} | {ratios[0]:.2f} | {static:.0f} | {ratios[1]:.2f} "
        f"| {first:.0f} | {gap:.0f} |"
    )


ABOUT = (
    f"bfloat16, {PROMPT} random prompt and {TOKENS} output tokens a request, greedy, closed loop. Ours is the engine process, its layers compiled, "
    "with its socket; the peers run in process: transformers' continuous batching, and its bare forward over a static batch "
    f"with its dynamic cache. Medians of {REPEATS} interleaved runs; each ratio is the median of the runs' ratios. Absolute figures "
    "mean little where the load averages are above the work measured here: read the ratios."
)


def main() -> None:
    rows = [row for name in MODELS for row in asyncio.run(measure(name))]
    head = [
        (
            "| model | concurrency | engine, tok/s | transformers continuous batching, tok/s | ratio | static batch, tok/s | ratio "
            "| TTFT p50, ms | ITL p99, ms |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    write("throughput", "Throughput against transformers", ABOUT, head + rows)
