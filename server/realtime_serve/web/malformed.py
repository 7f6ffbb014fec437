"""What is no HTTP is refused by aiohttp, with a traceback in the log; a line that says what was wrong is enough."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError

LOGGER = logging.getLogger("aiohttp.server")
LONGEST = 200  # characters


def say_shortly() -> None:
    """From now on; again is no change."""
    LOGGER.addFilter(_shorten)


def _shorten(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, HttpProcessingError):
        return True
    record.levelno, record.levelname = logging.INFO, "INFO"
    record.exc_info = record.exc_text = None
    record.msg, record.args = "refused what is no HTTP: %s", (" ".join(error.message.split())[:LONGEST],)
    return LOGGER.isEnabledFor(logging.INFO)
