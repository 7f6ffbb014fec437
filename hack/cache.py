"""Where things that are made once are kept, outside the work tree: $RTS_CACHE, else ~/.cache/realtime-serve."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("RTS_CACHE") or Path.home() / ".cache" / "realtime-serve")
RUN = CACHE / "run"


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time makes what has this name; the next one waits, and finds it made."""
    locks = CACHE / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
