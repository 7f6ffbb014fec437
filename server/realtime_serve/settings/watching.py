"""Follows a file that somebody else replaces, as the kubelet does with ConfigMaps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

POLL_SECONDS = 0.5

OnContent = Callable[[bytes | OSError], Awaitable[None]]


class FileWatcher:
    """Calls back with the file's content, at first and whenever it is another.

    It compares bytes: the kubelet swaps a symlink two levels up, which no time stamp of the file shows.
    """

    def __init__(self, path: Path, on_content: OnContent) -> None:
        self._path = path
        self._on_content = on_content
        self._last: bytes | str | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(POLL_SECONDS)

    async def check(self) -> None:
        """Read once, and call back if it changed. An unreadable file is a change too."""
        try:
            content: bytes | OSError = await asyncio.to_thread(self._path.read_bytes)
        except OSError as error:
            content = error
        seen = str(content) if isinstance(content, OSError) else content
        if seen != self._last:
            self._last = seen
            await self._on_content(content)
