"""Our own forward without anything around it: no scheduler, no socket, no HTTP.

`python -m bench.ceiling MODEL` reads lines of `BATCH PROMPT TOKENS SEED` as `bench.peer` does, and answers each with output
tokens a second of a batch that begins and ends together, its prompts in chunks as the scheduler cuts them.
"""

from __future__ import annotations

import os
import sys

from bench.in_process import answer
from realtime_serve import engine_process
from realtime_serve.doctor import begin, decode, sequences
from realtime_serve.engine.messages import Load
from realtime_serve.engine.threads import thread_environment

CHUNK = 4096
"""Prompt tokens of a step, as the scheduler allows where nothing decodes yet."""


def main() -> None:
    os.environ.update(thread_environment())
    engine_process.keep_memory()
    from realtime_serve.model.loading import load_runner  # noqa: PLC0415  # after the threads are set

    load = Load(sys.argv[1], dtype="bfloat16", max_model_length=1024, compile=True)
    runner = load_runner(load, report=lambda _: None)

    def generate(texts: list[list[int]], tokens: int) -> None:
        length = len(texts[0])
        waiting = sequences(runner, texts, length + tokens)
        for start in range(0, len(waiting), CHUNK // length):
            begin(runner, waiting[start : start + CHUNK // length])
        for _ in range(tokens - 1):
            decode(runner, waiting)

    answer(generate)


if __name__ == "__main__":
    main()
