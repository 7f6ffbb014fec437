"""The engine process as the server starts it, under a load of our own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Configure, Load, Sampling

GREEDY = Sampling(temperature=0.0)


@dataclass
class Timed:
    """One request: when it was sent, and when each of its tokens came."""

    begin: float
    tokens: list[float] = field(default_factory=list)

    @property
    def first(self) -> float:
        return self.tokens[0] - self.begin

    @property
    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.tokens, self.tokens[1:], strict=False)]


@asynccontextmanager
async def engine(directory: Path, batch: int = 128, **more: Any) -> AsyncIterator[Engine]:
    command = [sys.executable, "-m", "realtime_serve.engine_process"]
    load = Load(model=str(directory), dtype="bfloat16", max_model_length=1024, compile=True)
    started = Engine(command=command, load=load, **more)
    await started.start()
    await started.configure(Configure(max_batch_size=batch))
    yield started
    await started.stop()


async def one(engine: Engine, prompt: list[int], count: int) -> Timed:
    timed = Timed(time.monotonic())
    async for some in engine.submit(prompt, sampling=GREEDY, max_tokens=count, stop_ids=[]):
        if some.error:
            raise RuntimeError(some.error)
        timed.tokens += [time.monotonic()] * len(some.tokens)
    return timed


async def together(engine: Engine, prompts: Iterable[list[int]], count: int) -> list[Timed]:
    return await asyncio.gather(*(one(engine, prompt, count) for prompt in prompts))


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
