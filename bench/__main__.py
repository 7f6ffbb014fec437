"""`make bench`: the engine process against transformers' own forward, interleaved, as Markdown in bench/results/."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hack import model
from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Load, Sampling

PROMPT = 64
TOKENS = 64
CONCURRENCY = (1, 8, 32)
REPEATS = 3
RESULTS = Path(__file__).with_name("results")
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""What the server gives its engine; the peer gets it too."""


@dataclass(frozen=True)
class Measured:
    tokens_per_second: float
    first_token: float


async def one(engine: Engine, first: int) -> float:
    """Generate one sequence; seconds to its first token."""
    begin, seen = time.monotonic(), 0.0
    greedy = Sampling(temperature=0.0)
    async for tokens in engine.submit(
        [100 + first] * PROMPT, sampling=greedy, max_tokens=TOKENS, stop_ids=[]
    ):
        if tokens.error:
            raise RuntimeError(tokens.error)
        seen = seen or time.monotonic() - begin
    return seen


async def closed_loop(engine: Engine, concurrency: int) -> Measured:
    begin = time.monotonic()
    firsts = await asyncio.gather(*(one(engine, number) for number in range(concurrency)))
    return Measured(concurrency * TOKENS / (time.monotonic() - begin), median(firsts))


def peer(directory: Path, dtype: str, concurrency: int) -> float:
    numbers = (str(concurrency), str(PROMPT), str(TOKENS))
    command = [sys.executable, "-m", "bench.ceiling", str(directory), dtype, *numbers]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}
    )
    return float(done.stdout.split()[-1])


async def measure(directory: Path) -> tuple[str, list[str]]:
    """dtype, and a row for each concurrency. The engine sleeps while its peer runs."""
    command = [sys.executable, "-m", "realtime_serve.engine_process"]
    engine = Engine(command=command, load=Load(model=str(directory)), environment=ENVIRONMENT)
    card = await engine.start()
    rows = []
    for concurrency in CONCURRENCY:
        ours, theirs = [], []
        for _ in range(REPEATS):
            ours.append(await closed_loop(engine, concurrency))
            theirs.append(await asyncio.to_thread(peer, directory, card.dtype, concurrency))
        speed, ceiling = median(m.tokens_per_second for m in ours), median(theirs)
        first = median(m.first_token for m in ours) * 1000
        rows.append(f"| {concurrency} | {speed:.0f} | {ceiling:.0f} | {speed / ceiling:.2f} | {first:.0f} |")
        print(rows[-1], flush=True)
    await engine.stop()
    return card.dtype, rows


def report(dtype: str, rows: list[str]) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    return "\n".join(
        [
            "# The engine against transformers' own forward",
            "",
            (
                f"SmolLM2-135M-Instruct, {dtype}, {PROMPT} prompt and {TOKENS} output tokens, greedy, closed loop, "
                f"medians of {REPEATS} interleaved runs."
            ),
            (
                f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
                f"{versions}. Command: `make bench`."
            ),
            "",
            "| concurrency | engine process, tok/s | HF static batch, tok/s | ratio | engine TTFT p50, ms |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    directory = model.prepare()
    dtype, rows = asyncio.run(measure(directory))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "engine.md"
    path.write_text(report(dtype, rows))
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
