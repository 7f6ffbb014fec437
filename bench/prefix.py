"""What sharing a beginning saves: many requests with the same long beginning against one of them."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from bench.driving import engine, together
from bench.models import MODELS
from bench.peer import prompts
from bench.report import write
from realtime_serve.engine.client import Engine

SHARED, OWN, REQUESTS, REPEATS = 512, 1, 32, 3


async def seconds(engine: Engine, requests: int, seed: int) -> float:
    """Until the first token of all, for a beginning that was never seen."""
    beginning = prompts(1, SHARED, seed)[0]
    ends = prompts(requests, OWN, seed + 1)
    begin = time.monotonic()
    await together(engine, ([*beginning, *end] for end in ends), 1)
    return time.monotonic() - begin


async def measure() -> str:
    name = next(iter(MODELS))
    async with engine(MODELS[name]()) as started:
        await seconds(started, 1, 7)
        runs = [
            (await seconds(started, 1, 1000 + repeat), await seconds(started, REQUESTS, 2000 + repeat))
            for repeat in range(REPEATS)
        ]
    one, many = (median(column) for column in zip(*runs, strict=True))
    ratio = median(run[1] / run[0] for run in runs)
    return f"| {name} | {1000 * one:.0f} | {1000 * many:.0f} | {ratio:.2f} | {REQUESTS} |"


def main() -> None:
    about = (
        f"bfloat16; {REQUESTS} requests at once whose first {SHARED} tokens are the same and never seen before, and {OWN} of their "
        f"own; time until all have their first token, over that of one such request. Medians of {REPEATS} interleaved pairs."
    )
    head = [
        "| model | one, ms | all, ms | ratio | ratio without sharing, by count |",
        "|---|---|---|---|---|",
    ]
    write("prefix", "Shared beginnings", about, [*head, asyncio.run(measure())])
