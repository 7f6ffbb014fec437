"""One file over http(s), taken up again where it broke off."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from realtime_serve.errors import EngineFailed
from realtime_serve.settings.source import Source
from realtime_serve.sources.failures import UNREACHABLE, reason_of_status
from realtime_serve.sources.meter import Meter

TOKEN = "REALTIME_SERVE_SOURCE_TOKEN"  # noqa: S105 - the variable's name
TIMEOUT_SECONDS = 60.0  # of silence
CHUNK = 1 << 20
TRIES = 5  # in a row that bring nothing


def download(source: Source, target: Path, meter: Meter) -> None:
    """Bring the file; what is there of it already is its beginning. Raises EngineFailed."""
    fruitless = 0
    meter.have(_size(target))
    while fruitless < TRIES:
        before = _size(target)
        try:
            if _take(source, target, meter):
                return
            problem = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                return  # all of it is there; the checksum will tell
            if error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                message = f"{source.shown}: the server answers {error.code} {error.reason}"
                raise EngineFailed(reason_of_status(error.code), message) from error
            problem = f"the server answers {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        fruitless = 0 if _size(target) > before else fruitless + 1
    raise EngineFailed(UNREACHABLE, f"{source.shown}: {problem}")


def _take(source: Source, target: Path, meter: Meter) -> bool:
    """One answer; whether the file is whole after it."""
    done = _size(target)
    request = urllib.request.Request(source.uri, headers={"User-Agent": "realtime-serve"})  # noqa: S310 - http(s) by `problem`
    if done:
        request.add_header("Range", f"bytes={done}-")
    if token := os.environ.get(TOKEN):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        goes_on = answer.status == HTTPStatus.PARTIAL_CONTENT
        length = answer.headers.get("Content-Length")
        begin = done if goes_on else 0
        meter.total = begin + int(length) if length else 0
        with target.open("ab" if goes_on else "wb") as file:
            if not goes_on:
                meter.see(0)
            while chunk := answer.read1(CHUNK):  # what has come, so that a slow source shows its progress
                file.write(chunk)
                meter.add(len(chunk))
    return length is None or _size(target) == begin + int(length)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
