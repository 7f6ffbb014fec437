"""A measurement that runs without a server, in a process of its own that is woken for one at a time."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable


class Peer:
    """`bench.peer` or `bench.ceiling`."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def measure(self, batch: int, prompt: int, tokens: int, seed: int) -> float:
        """Output tokens a second."""
        if self._process.stdin is None:
            raise RuntimeError("the peer has no input")
        self._process.stdin.write(f"{batch} {prompt} {tokens} {seed}\n")
        self._process.stdin.flush()
        return float(self._read())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise RuntimeError("the peer has ended")
        return line


def answer(generate: Callable[[list[list[int]], int], None]) -> None:
    """Take the lines, and tell how fast each was generated."""
    print("ready", flush=True)
    for line in sys.stdin:
        batch, prompt, tokens, seed = map(int, line.split())
        texts = prompts(batch, prompt, seed)
        begin = time.monotonic()
        generate(texts, tokens)
        print(batch * tokens / (time.monotonic() - begin), flush=True)


def prompts(batch: int, prompt: int, seed: int, vocabulary: int = 40_000) -> list[list[int]]:
    chance = random.Random(seed)  # noqa: S311  # texts, not keys
    return [[chance.randrange(1000, vocabulary) for _ in range(prompt)] for _ in range(batch)]
