"""`python -m realtime_serve.doctor --model DIR`: how fast this machine could decode the model, how fast it does, and why not faster.

The floor of a step is the time to read the weights once and each sequence's keys and values once, at the memory's bandwidth as
measured now. Small models on a processor do not reach it: for many rows the multiplications, not the bytes, take the time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from realtime_serve import engine_process
from realtime_serve.engine.batch import Batch, Result, Row
from realtime_serve.engine.messages import Load, Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.engine.threads import thread_environment
from realtime_serve.errors import EngineFailed

if TYPE_CHECKING:
    from realtime_serve.model.running import TransformersRunner

BATCHES = (1, 8, 32)
CONTEXT = 128
STEPS = 12
GOOD_SHARE = 0.6


@dataclass(frozen=True)
class Measured:
    """One batch size; seconds."""

    batch: int
    step: float
    floor: float

    @property
    def share(self) -> float:
        return self.floor / self.step


@dataclass(frozen=True)
class Facts:
    """What the advice hangs on."""

    dtype: str
    device: str
    multiplies: str
    """In which types linear layers lie and multiply; empty where they are not packed."""
    native: bool
    """Whether the processor has instructions for the type."""
    cores: int
    load: float
    """Processes that wanted a core in the last minute, this one not counted."""
    path: str
    """Which way steps go that only decode."""
    compiled: bool
    """Whether layers are code made for this processor."""


def main() -> int:
    arguments = parse()
    os.environ.update(thread_environment())
    engine_process.keep_memory()
    load_average = os.getloadavg()[0]
    from realtime_serve.model.loading import count_cores, load_runner  # noqa: PLC0415  # torch takes seconds to import
    from realtime_serve.model.processor import is_native  # noqa: PLC0415

    try:
        wanted = Load(
            arguments.model,
            dtype=arguments.dtype,
            device=arguments.device,
            max_model_length=2 * CONTEXT,
            compile=arguments.compile == "on",
        )
        runner = load_runner(wanted, report=tell)
    except EngineFailed as failure:
        sys.stderr.write(f"{failure.reason}: {failure}\n")
        return 1
    bandwidth = runner.read_bandwidth()
    rows = [measure(runner, batch, bandwidth) for batch in BATCHES]
    facts = Facts(
        dtype=runner.card.dtype,
        device=runner.card.device,
        multiplies=runner.multiplies,
        native=is_native(runner.dtype),
        cores=count_cores(),
        load=load_average,
        path=runner.path,
        compiled=runner.compiled,
    )
    sys.stdout.write(report(facts, runner.step_bytes(), bandwidth, rows) + "\n")
    return 0


def tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m realtime_serve.doctor", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", required=True, help="a directory with weights")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compile", default="off", choices=["on", "off"])
    return parser.parse_args()


def measure(runner: TransformersRunner, batch: int, bandwidth: float) -> Measured:
    """The median decode step of sequences that are CONTEXT tokens long."""
    texts = [[(7 * number + place) % 1000 for place in range(CONTEXT)] for number in range(batch)]
    running = sequences(runner, texts, 2 * CONTEXT)
    begin(runner, running)
    seconds = median(decode(runner, running) for _ in range(STEPS))
    return Measured(
        batch, seconds, (runner.step_bytes() + batch * CONTEXT * runner.token_bytes()) / bandwidth
    )


def sequences(runner: TransformersRunner, texts: list[list[int]], longest: int) -> list[Sequence]:
    """One for each prompt, with pages of its own for that many tokens."""
    pages = -(-longest // runner.page_size)
    return [
        Sequence(
            number,
            text,
            longest - len(text),
            Sampling(temperature=0.0),
            frozenset(),
            1,
            0.0,
            pages=list(range(number * pages, (number + 1) * pages)),
        )
        for number, text in enumerate(texts)
    ]


def begin(runner: TransformersRunner, sequences: list[Sequence]) -> None:
    batch = Batch([Row(sequence, 0, sequence.prompt, samples=True) for sequence in sequences], decoding=0)
    book(sequences, runner.run(batch))


def decode(runner: TransformersRunner, sequences: list[Sequence]) -> float:
    """Seconds."""
    rows = [
        Row(sequence, sequence.length - 1, sequence.generated[-1:], samples=True) for sequence in sequences
    ]
    start = time.perf_counter()
    results = runner.run(Batch(rows, decoding=len(rows)))
    spent = time.perf_counter() - start
    book(sequences, results)
    return spent


def book(sequences: list[Sequence], results: list[Result]) -> None:
    for sequence, result in zip(sequences, results, strict=True):
        sequence.generated.append(max(0, result.token))


def report(facts: Facts, weights: int, bandwidth: float, rows: list[Measured]) -> str:
    lines = [
        f"{facts.device}, {facts.cores} cores, {facts.dtype}; memory reads {bandwidth / 1e9:.1f} GB/s; a step reads {weights / 1e6:.0f} MB of weights",
        f"decoding by {facts.path}; layers multiply in {facts.multiplies or facts.dtype}",
        "",
        f"{'batch':>5} {'floor, ms':>10} {'step, ms':>10} {'share':>6} {'tok/s':>8}",
        *(
            f"{row.batch:>5} {1000 * row.floor:>10.2f} {1000 * row.step:>10.2f} {row.share:>6.0%} {row.batch / row.step:>8.0f}"
            for row in rows
        ),
        "",
        *(f"- {line}" for line in advise(facts, rows)),
    ]
    return "\n".join(lines)


def advise(facts: Facts, rows: list[Measured]) -> list[str]:
    """What would make it faster, the greatest first."""
    advice = []
    if facts.load > 0.5:  # of a core
        advice.append(
            f"something else used the processor (load average {facts.load:.1f}): measure again when it is idle"
        )
    if facts.device == "cpu":
        advice += advise_processor(facts)
    if rows and rows[0].share < GOOD_SHARE:
        advice.append(
            "one sequence alone leaves bandwidth unused: what a step costs besides the bytes (kernels' starts, Python) weighs most"
        )
    if len(rows) > 1 and rows[-1].step > 2 * rows[0].step:
        advice.append(
            f"from batch {rows[0].batch} to {rows[-1].batch} the multiplications take over: more cores help, more bandwidth does not"
        )
    return advice or ["nothing known: the step is near what the memory allows"]


def advise_processor(facts: Facts) -> list[str]:
    advice = []
    if not facts.compiled:
        advice.append(
            "--compile on makes code for this processor of the layers, so that a step has fewer parts to start"
        )
    if not facts.multiplies:
        advice.append(f"oneDNN has no {facts.dtype} on this processor, so weights could not be packed")
    if facts.dtype == "float32":
        advice.append(
            "--dtype bfloat16 halves the bytes that a step reads, whether or not the processor multiplies it in hardware"
        )
    elif not facts.native and facts.multiplies == facts.dtype:
        advice.append(
            f"this processor does not multiply {facts.dtype} in hardware, and the weights do not fit into float16: --dtype float32 may be faster"
        )
    return advice


if __name__ == "__main__":
    sys.exit(main())
