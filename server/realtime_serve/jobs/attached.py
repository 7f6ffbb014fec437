"""Which readers of which jobs are connected to this server, and how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Positioned(Protocol):
    """A reader that knows the last event it took."""

    position: int


class Attached:
    """Readers by job."""

    def __init__(self) -> None:
        self._readers: dict[str, set[Positioned]] = {}
        self._moved = asyncio.Event()

    def readers(self, job_id: str) -> int:
        """How many there are."""
        return len(self._readers.get(job_id, ()))

    @contextmanager
    def reading(self, job_id: str, reader: Positioned) -> Iterator[None]:
        """Count a reader while the context lasts."""
        readers = self._readers.setdefault(job_id, set())
        readers.add(reader)
        try:
            yield
        finally:
            readers.discard(reader)
            if not readers:
                self._readers.pop(job_id, None)
            self._moved.set()

    def moved(self) -> None:
        """A reader took events."""
        self._moved.set()

    async def have(self, job_id: str, event_id: int) -> None:
        """Return when every reader of this job has this event, or has left."""
        while any(reader.position < event_id for reader in self._readers.get(job_id, ())):
            self._moved.clear()
            await self._moved.wait()
