"""Prints each step of the demo with its time, and all of them in a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Steps:
    begin: float = field(default_factory=time.monotonic)
    taken: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        print(f"\n\033[1m== {title}\033[0m", flush=True)
        begin = time.monotonic()
        yield
        self.taken.append((title, time.monotonic() - begin))
        print(f"   {self.taken[-1][1]:.1f} s", flush=True)

    def print_table(self) -> None:
        print("\n\033[1mTimes\033[0m")
        for title, seconds in self.taken:
            print(f"  {seconds:8.1f} s  {title}")
        print(f"  {time.monotonic() - self.begin:8.1f} s  in all")
