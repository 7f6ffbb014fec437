"""What more tokens cost a step, measured once before the first request.

Reading the weights takes a step as long for one token as for some: up to the ridge of the machine's roofline (Williams et al.,
2009), where computing takes as long as reading. That is a few tokens on one machine and hundreds on another.
"""

from __future__ import annotations

import time

from realtime_serve.engine.batch import Batch, Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.runner import Runner
from realtime_serve.engine.sequence import Sequence

FEW, MANY = 8, 64
"""Tokens of the prompts by which it is measured."""
TAKES = 3
PATIENCE_SECONDS = 2.0
"""No other take after so long."""
MOST = 4096


class ProbeFailed(Exception):
    """The model gave an error for an answer; the message is it."""


def measure_ridge(runner: Runner, longest: int) -> int:
    """Tokens: see `ridge`. 0 where no prompt can be long enough. Raises ProbeFailed, and what the runner raises."""
    many = min(MANY, longest - 1)
    if many <= FEW:
        return 0
    takes: list[tuple[float, float]] = []
    start = time.perf_counter()
    while not takes or (len(takes) < TAKES and time.perf_counter() - start < PATIENCE_SECONDS):
        takes.append((probe(runner, FEW), probe(runner, many)))
    return ridge(min(few for few, _ in takes), min(much for _, much in takes), many)


def ridge(few: float, many: float, tokens: int) -> int:
    """So many tokens does a step compute in the time that all else takes it. few, many: seconds of one of FEW and one of `tokens`."""
    each = (many - few) / (tokens - FEW)
    if each <= 0:
        return MOST
    return max(0, min(MOST, int(few / each) - FEW))


def probe(runner: Runner, tokens: int) -> float:
    """Seconds of a step that begins a prompt of so many tokens."""
    pages = list(range(-(-tokens // runner.page_size)))
    sequence = Sequence(
        -1, [0] * tokens, 1, Sampling(temperature=0.0), frozenset(), priority=0, arrived=0.0, pages=pages
    )
    start = time.perf_counter()
    results = runner.run(Batch([Row(sequence, 0, sequence.prompt, samples=True)], decoding=0))
    if errors := [result.error for result in results if result.error]:
        raise ProbeFailed(errors[0])
    return time.perf_counter() - start
