"""What an error of a source means: one of a few reasons, which programs read, and a sentence for people."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from realtime_serve.errors import EngineFailed
from realtime_serve.settings import source

NOT_FOUND = source.NOT_FOUND
UNAUTHORISED = "SourceUnauthorised"
UNREACHABLE = "SourceUnreachable"
INVALID = "SourceInvalid"
CHECKSUM = "ChecksumMismatch"
OUT_OF_SPACE = "OutOfSpace"
CACHE_UNWRITABLE = "CacheUnwritable"

REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS)


def reason_of_status(status: int | None) -> str:
    """What an answer of HTTP means for a download."""
    if status in REFUSALS:
        return UNAUTHORISED
    return NOT_FOUND if status in MISSING else UNREACHABLE


def failure_of_disk(shown: str, error: OSError) -> EngineFailed:
    """What an error while writing means."""
    if error.errno in _FULL:
        return EngineFailed(OUT_OF_SPACE, f"{shown}: no space left where it is kept: {error}")
    if error.errno in _NO_WRITE:
        return EngineFailed(CACHE_UNWRITABLE, f"{shown}: the cache cannot be written: {error}")
    return EngineFailed(UNREACHABLE, f"{shown}: {error}")


@contextmanager
def telling_disk(shown: str) -> Iterator[None]:
    """Errors of the disk get a reason."""
    try:
        yield
    except OSError as error:
        raise failure_of_disk(shown, error) from error


def human(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:.1f} TiB"


def one_line(text: str) -> str:
    """An object store's answer without its XML and its internals."""
    said = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    first = text.partition("\n")[0]
    first = re.sub(r"\?\S+", "", first.partition(": <?xml")[0])  # a query may hold a signature
    return " ".join(f"{first}{f': {said[1]}' if said else ''}".split())[:300]
