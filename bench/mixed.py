"""What long prompts cost those who read: gaps between tokens while prompts of 1,000 tokens arrive, against the same without."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from statistics import median

from bench.driving import engine, one, percentile
from bench.in_process import prompts
from bench.models import gpt2
from bench.report import write
from realtime_serve.engine.client import Engine

READERS, PROMPT, TOKENS, LONG, PAUSE, REPEATS = 32, 64, 64, 1000, 1.0, 3


async def gaps(engine: Engine, seed: int) -> list[float]:
    """Of readers that each ask anew twice."""
    texts = iter(prompts(2 * READERS, PROMPT, seed))

    async def reader() -> list[float]:
        timed = [await one(engine, next(texts), TOKENS) for _ in range(2)]
        return [gap for some in timed for gap in some.gaps]

    return [gap for found in await asyncio.gather(*(reader() for _ in range(READERS))) for gap in found]


async def arrive(engine: Engine, seed: int, firsts: list[float]) -> None:
    """A long prompt, a pause, and again."""
    for number in itertools.count():
        timed = await one(engine, prompts(1, LONG, seed + number)[0], 1)
        firsts.append(timed.first)
        await asyncio.sleep(PAUSE)


async def disturbed(engine: Engine, seed: int, firsts: list[float]) -> list[float]:
    arriving = asyncio.create_task(arrive(engine, 1000 * seed, firsts))
    try:
        return await gaps(engine, seed)
    finally:
        arriving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await arriving  # its last prompt has left the engine before anything else is measured


async def measure() -> str:
    runs: list[list[float]] = []
    firsts: list[float] = []
    async with engine(gpt2()) as started:
        await gaps(started, 1)
        for repeat in range(REPEATS):
            quiet = await gaps(started, 10 + repeat)
            busy = await disturbed(started, 20 + repeat, firsts)
            runs.append([1000 * percentile(some, share) for some in (quiet, busy) for share in (0.5, 0.99)])
    columns = [median(column) for column in zip(*runs, strict=True)]
    ratio = median(run[3] / run[1] for run in runs)
    cells = [*(f"{value:.0f}" for value in columns), f"{ratio:.2f}", f"{1000 * median(firsts):.0f}"]
    return f"| GPT-2 shape (124M, random) | {' | '.join(cells)} |"


def main() -> None:
    about = (
        f"bfloat16, compiled layers; {READERS} readers, {PROMPT} prompt and {TOKENS} output tokens a request, each asks again when it has its answer; "
        f"without and with prompts of {LONG} tokens, one after the other with {PAUSE:.0f} s between them. Medians of {REPEATS} "
        "interleaved pairs; the ratio is that of the 99th percentiles."
    )
    head = [
        "| model | ITL p50 without, ms | p99 | ITL p50 with, ms | p99 | ratio | TTFT p50 of the long ones, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    write("mixed", "Long prompts among readers", about, [*head, asyncio.run(measure())])
