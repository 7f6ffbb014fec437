"""Downloads that are kept: each is made once, by one process at a time, and is there whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from filelock import FileLock, Timeout

from realtime_serve.errors import EngineFailed
from realtime_serve.sources.failures import OUT_OF_SPACE, human, telling_disk
from realtime_serve.sources.meter import Meter

DEFAULT_CACHE = "~/.cache/realtime-serve/models"
LOOK_SECONDS = 1.0  # how often a process that waits for another looks how far that is


class Cache:
    """A directory that replicas may share. A lock is the kernel's: it goes with the process that held it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def hold(self, key: str, fill: Callable[[Path], None], *, shown: str, meter: Meter) -> Path:
        """Return the directory of this key; `fill` makes it where it is not there.

        `fill` gets a directory that may hold what an earlier try had finished, and has to go on from there.
        """
        final = self._root / key
        if final.is_dir():
            return final
        with telling_disk(shown):
            self._root.mkdir(parents=True, exist_ok=True)
            with self._locked(key, meter):
                if not final.is_dir():
                    partial = self._partial(key)
                    partial.mkdir(exist_ok=True)
                    fill(partial)
                    partial.rename(final)
        return final

    def check_room(self, size: int, *, shown: str) -> None:
        """Raises EngineFailed when so many bytes more do not fit."""
        free = shutil.disk_usage(self._root).free
        if size > free:
            raise EngineFailed(
                OUT_OF_SPACE,
                f"{shown}: {human(size)} are to be written and {human(free)} are free in {self._root}",
            )

    def clear(self, directory: Path) -> None:
        """Remove what an earlier try left half done."""
        if directory.exists():
            shutil.rmtree(directory)

    def remember(self, name: str, key: str) -> None:
        """Keep which key a source had the last time."""
        with NamedTemporaryFile("w", dir=self._root, prefix=name, suffix=".draft", delete=False) as draft:
            draft.write(key)
        Path(draft.name).replace(self._root / f"{name}.last")

    def last(self, name: str) -> Path | None:
        """What `remember` was told, if that is still there."""
        note = self._root / f"{name}.last"
        found = self._root / note.read_text() if note.is_file() else None
        return found if found is not None and found.is_dir() else None

    def _partial(self, key: str) -> Path:
        return self._root / f"{key}.partial"

    @contextmanager
    def _locked(self, key: str, meter: Meter) -> Iterator[None]:
        lock = FileLock(self._root / f"{key}.lock")
        while True:
            try:
                lock.acquire(timeout=LOOK_SECONDS)
            except Timeout:
                meter.see(_size(self._partial(key)))
                continue
            break
        try:
            yield
        finally:
            lock.release()


def key_of(name: str, *parts: str) -> str:
    """A directory's name: for people at its beginning, unique at its end."""
    digest = hashlib.sha256("\0".join((name, *parts)).encode()).hexdigest()
    tail = "".join(c if c.isalnum() or c in "._-" else "-" for c in name.rpartition("://")[2])[-80:].strip(
        "-."
    )
    return f"{tail}-{digest[:24]}"


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
