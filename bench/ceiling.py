"""Our own forward without anything around it: no scheduler, no socket, no HTTP.

`python -m bench.ceiling MODEL` reads lines of `BATCH PROMPT TOKENS SEED` as `bench.peer` does, and answers each with output
tokens a second of a batch that begins and ends together, its prompts in chunks as the scheduler cuts them.
"""

from __future__ import annotations

import os
import sys
import time

from bench.peer import prompts
from realtime_serve import engine_process
from realtime_serve.doctor import book, decode
from realtime_serve.engine.batch import Batch, Row
from realtime_serve.engine.messages import Load, Sampling
from realtime_serve.engine.sequence import Sequence

CHUNK = 4096
"""Prompt tokens of a step, as the scheduler allows where nothing decodes yet."""


def main() -> None:
    for name, value in engine_process.THREADS.items():
        os.environ.setdefault(name, value)
    engine_process.keep_memory()
    from realtime_serve.model.loading import load_runner  # noqa: PLC0415  # after the threads are set

    runner = load_runner(Load(sys.argv[1], dtype="bfloat16", max_model_length=1024), report=lambda _: None)
    print("ready", flush=True)
    for line in sys.stdin:
        batch, prompt, tokens, seed = map(int, line.split())
        pages = -(-(prompt + tokens) // runner.page_size)
        sequences = [
            Sequence(
                number,
                text,
                tokens,
                Sampling(temperature=0.0),
                frozenset(),
                1,
                0.0,
                pages=list(range(number * pages, (number + 1) * pages)),
            )
            for number, text in enumerate(prompts(batch, prompt, seed))
        ]
        begin = time.monotonic()
        for start in range(0, batch, CHUNK // prompt):
            some = sequences[start : start + CHUNK // prompt]
            book(some, runner.run(Batch([Row(one, 0, one.prompt, samples=True) for one in some], decoding=0)))
        for _ in range(tokens - 1):
            decode(runner, sequences)
        print(batch * tokens / (time.monotonic() - begin), flush=True)


if __name__ == "__main__":
    main()
