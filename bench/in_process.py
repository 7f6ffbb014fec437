"""A measurement that runs without a server, in a process of its own that is woken for one at a time."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.driving import ENVIRONMENT


class Peer:
    """`bench.peer` or `bench.ceiling`."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ENVIRONMENT},
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
