"""The settings in force: the last good content of the file, and what is wrong with the present one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from realtime_serve.errors import SettingsInvalid
from realtime_serve.settings.runtime import Settings, parse_settings

log = logging.getLogger("realtime_serve.settings")

OnChange = Callable[[Settings], Awaitable[None]]


class LiveSettings:
    """Read `current` at each use; it is replaced whole."""

    def __init__(self, version: str) -> None:
        self.current = Settings()
        self.error = ""
        self._version = version
        self._on_change: list[OnChange] = []

    def subscribe(self, on_change: OnChange) -> None:
        """Call on every change, for those who must act on it."""
        self._on_change.append(on_change)

    def unsubscribe(self, on_change: OnChange) -> None:
        """Call no more; again is no change."""
        if on_change in self._on_change:
            self._on_change.remove(on_change)

    async def load(self, content: bytes | OSError) -> None:
        """Take the file's new content. What is bad changes nothing but `error`."""
        try:
            settings = self._check(content)
        except SettingsInvalid as error:
            self.error = str(error)
            log.warning("settings kept as they were: %s", error)
            return
        self.error, self.current = "", settings
        log.info("settings in force: generation %d", settings.generation)
        for on_change in tuple(self._on_change):
            await on_change(settings)

    def _check(self, content: bytes | OSError) -> Settings:
        if isinstance(content, OSError):
            raise SettingsInvalid(f"the file cannot be read: {content.strerror}")
        settings = parse_settings(content)
        if not settings.versions and settings.active_version not in ("", self._version):
            raise SettingsInvalid(
                f"activeVersion: {settings.active_version!r} is not held by this server (it holds {self._version!r})"
            )
        return settings
