"""The real engine process with a model that answers a prompt with that prompt, again and again; it needs no torch.

As a module it gives tests an engine; as a program it is that engine's process.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realtime_serve.engine.batch import Batch, Result
from realtime_serve.engine.client import Engine
from realtime_serve.engine.ending import until_the_end
from realtime_serve.engine.link import Link
from realtime_serve.engine.messages import Load, ModelCard, Progress, Ready, TokenLogprob
from realtime_serve.engine.sequence import Sequence
from realtime_serve.engine.worker import Worker
from realtime_serve.errors import EngineFailed

VOCABULARY = 260
END = 259  # <|im_end|> of tiny_tokenizers
LENGTH = 2048
BACKWARDS = "backwards"
"""A file in the model's directory: these weights read the prompt from its end."""
FAULT = "fault"
"""A file in the model's directory: the next step goes wrong in the way that it says (raise, memory, wedge), once."""
OUT_OF_MEMORY = "out-of-memory"
"""A file in the model's directory: these weights do not fit."""


class EchoRunner:
    """Token n of an answer is token n of its prompt, counted round."""

    page_count = 4096
    page_size = 16

    def __init__(self, directory: str, step_seconds: float, end: int) -> None:
        self.card = ModelCard(
            directory,
            VOCABULARY,
            [end],
            LENGTH,
            "float32",
            "cpu",
            4096 * 16,
            no_grammar="it echoes its prompt",
        )
        self._step_seconds = step_seconds
        self._fault = Path(directory) / FAULT
        self._backwards = (Path(directory) / BACKWARDS).exists()

    def run(self, batch: Batch) -> list[Result]:
        if self._fault.exists():
            self._break(self._fault.read_text())
        time.sleep(self._step_seconds)  # stands for the computation
        return [self._next(row.sequence) for row in batch.rows if row.samples]

    def _break(self, kind: str) -> None:
        self._fault.unlink()
        if kind == "wedge":
            time.sleep(3600)  # the process is killed before
        raise RuntimeError(
            "can't allocate memory: you tried to allocate 9 bytes" if kind == "memory" else "a bad day"
        )

    def _next(self, sequence: Sequence) -> Result:
        """Its logprob is -0.5, and the tokens after it follow as the next likeliest, each a half less so."""
        place = len(sequence.generated) % len(sequence.prompt)
        token = sequence.prompt[-1 - place if self._backwards else place]
        count = sequence.sampling.logprobs
        top = [((token + place) % VOCABULARY, -0.5 * (1 + place)) for place in range(count)]
        return Result(token, logprob=TokenLogprob(-0.5, top) if count >= 0 else None)


def echo_engine(
    directory: Path, *, step_seconds: float = 0.0, load_seconds: float = 0.0, end: int = END, **more: Any
) -> Callable[[], Engine]:
    command = [sys.executable, str(Path(__file__))]
    command += [f"--step-seconds={step_seconds}", f"--load-seconds={load_seconds}", f"--end={end}"]
    return lambda: Engine(command=command, load=Load(str(directory)), **more)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int)
    parser.add_argument("--step-seconds", type=float)
    parser.add_argument("--load-seconds", type=float)
    parser.add_argument("--end", type=int)
    arguments = parser.parse_args()

    def serve(link: Link) -> None:
        load = link.receive_load()
        link.send(Progress("loading", "loading nothing"))
        time.sleep(arguments.load_seconds)
        if (Path(load.model) / OUT_OF_MEMORY).exists():
            raise EngineFailed("OutOfMemory", "the weights do not fit into memory")
        runner = EchoRunner(load.model, arguments.step_seconds, arguments.end)
        worker = Worker(runner, link)
        worker.warm_up()
        link.send(Ready(runner.card))
        worker.run()

    sys.exit(until_the_end(serve, Link(socket.socket(fileno=arguments.fd))))


if __name__ == "__main__":
    main()
