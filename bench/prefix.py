"""What sharing a beginning saves: many requests with the same long beginning against one of them."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import psutil

from bench.driving import engine, together
from bench.in_process import prompts
from bench.models import MODELS
from bench.report import write
from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Step

SHARED, OWN, REQUESTS, REPEATS = 512, 1, 32, 5


class Work:
    """Prompt tokens that the engine computed."""

    def __init__(self) -> None:
        self.tokens = 0

    def book(self, step: Step) -> None:
        self.tokens += step.prefix_queries - step.prefix_hits


async def cost(engine: Engine, work: Work, requests: int, seed: int) -> tuple[float, float, float]:
    """Until the first token of all, for a beginning that was never seen: seconds, the engine's seconds of CPU, prompt tokens."""
    (process,) = [child for child in psutil.Process().children() if "--fd" in child.cmdline()]
    beginning = prompts(1, SHARED, seed)[0]
    ends = prompts(requests, OWN, seed + 1)
    begin, used, computed = time.monotonic(), sum(process.cpu_times()[:2]), work.tokens
    await together(engine, ([*beginning, *end] for end in ends), 1)
    spent = sum(process.cpu_times()[:2]) - used
    return time.monotonic() - begin, spent, work.tokens - computed


async def measure() -> list[str]:
    name, work = next(iter(MODELS)), Work()
    async with engine(MODELS[name](), on_step=work.book) as started:
        await cost(started, work, 1, 7)
        runs = [
            (
                await cost(started, work, 1, 1000 + repeat),
                await cost(started, work, REQUESTS, 2000 + repeat),
            )
            for repeat in range(REPEATS)
        ]
    return [
        row(what, unit, [(one[place], many[place]) for one, many in runs])
        for place, (what, unit) in enumerate(
            (("time, ms", 1000), ("CPU time, ms", 1000), ("prompt tokens", 1))
        )
    ]


def row(what: str, unit: int, pairs: list[tuple[float, float]]) -> str:
    one, many = (unit * median(column) for column in zip(*pairs, strict=True))
    return f"| {what} | {one:.0f} | {many:.0f} | {median(many / one for one, many in pairs):.2f} |"


def main() -> None:
    about = (
        f"{next(iter(MODELS))}, bfloat16, compiled layers; {REQUESTS} requests at once whose first {SHARED} tokens are the same and never seen before, "
        f"and {OWN} of their own; what it takes until all have their first token, over that of one such request (without sharing: "
        f"{REQUESTS}). Medians of {REPEATS} interleaved pairs. Time says little where others use the machine; CPU time says more."
    )
    head = ["| | one | all | ratio |", "|---|---|---|---|"]
    write("prefix", "Shared beginnings", about, [*head, *asyncio.run(measure())])
