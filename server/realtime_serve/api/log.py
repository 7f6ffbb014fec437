"""The server's log, for a program's own lines."""

from __future__ import annotations

import logging

from realtime_serve.api.checks import one_of
from realtime_serve.logs import configure_logging


class RequestLogger:
    """One JSON object a line on standard error, the server's own lines among them.

    Args:
        level: the least that is written.
        name: the logger of the lines that `log` writes.

    Raises:
        ValueError: the level is unknown.

    """

    def __init__(self, level: str = "info", *, name: str = "realtime_serve.program") -> None:
        one_of("level", level, ("debug", "info", "warning", "error"))
        self._level = level
        self._log = logging.getLogger(name)

    def install(self) -> None:
        """Have all logging of the process written so."""
        configure_logging(self._level)

    def log(self, message: str, **fields: object) -> None:
        """Write a line; keep prompts and keys out of its fields."""
        self._log.info(message, extra={"fields": fields})
