"""From a source to a directory of this machine."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from realtime_serve.errors import EngineFailed
from realtime_serve.settings.source import OBJECT_STORES, WEB, Source, problem
from realtime_serve.sources import hub, web
from realtime_serve.sources.archives import model_directory, unpack, verify
from realtime_serve.sources.cache import Cache, key_of
from realtime_serve.sources.failures import INVALID, NOT_FOUND, UNREACHABLE
from realtime_serve.sources.meter import Meter

log = logging.getLogger("realtime_serve.sources")

ARCHIVE = "archive"  # the file in a download that is not unpacked yet
CONTENT = "content"


def fetch(source: Source, cache: Cache, meter: Meter) -> Path:
    """The model's directory; downloads what is not there.

    Raises EngineFailed with the reason SourceNotFound, SourceUnauthorised, SourceUnreachable, SourceInvalid,
    ChecksumMismatch, OutOfSpace or CacheUnwritable.
    """
    if wrong := problem(source):
        raise EngineFailed(INVALID, wrong)
    if source.scheme in ("", "file"):
        local = Path(source.uri.removeprefix("file://"))
        if source.uri and local.is_dir():
            return local
        if source.scheme == "file" or source.uri.startswith(("/", ".")):
            raise EngineFailed(NOT_FOUND, f"{source.uri}: there is no such directory")
    begin = time.monotonic()
    directory = _download(source, cache, meter)
    if meter.moved:
        fields = {"source": source.shown, "bytes": meter.moved, "seconds": round(time.monotonic() - begin, 3)}
        log.info("downloaded", extra={"fields": fields})
    return directory


def _download(source: Source, cache: Cache, meter: Meter) -> Path:
    if source.scheme in WEB:
        return _from_web(source, cache, meter)
    if source.scheme in OBJECT_STORES:
        return (
            _archive_from_store(source, cache, meter)
            if source.is_archive
            else _from_store(source, cache, meter)
        )
    return hub.fetch(source, meter)


def _from_web(source: Source, cache: Cache, meter: Meter) -> Path:
    def fill(partial: Path) -> None:
        web.download(source, partial / ARCHIVE, meter)
        _open(partial, source, cache)

    place = cache.hold(key_of(source.shown, source.sha256), fill, shown=source.shown, meter=meter)
    return model_directory(place / CONTENT, source.shown)


def _archive_from_store(source: Source, cache: Cache, meter: Meter) -> Path:
    from realtime_serve.sources import objects  # noqa: PLC0415  its library costs time that others need not spend

    uri, name = objects.name_of(source)
    store = objects.open_store(uri, source.shown)
    blob = objects.describe(store, name, source.shown)
    meter.expect(blob.size)

    def fill(partial: Path) -> None:
        cache.check_room(blob.size, shown=source.shown)
        objects.download(store, blob, partial / ARCHIVE, shown=source.shown, meter=meter)
        _open(partial, source, cache)

    key = key_of(source.uri, source.sha256 or blob.tag, str(blob.size))
    return model_directory(cache.hold(key, fill, shown=source.shown, meter=meter) / CONTENT, source.shown)


def _open(partial: Path, source: Source, cache: Cache) -> None:
    archive, content = partial / ARCHIVE, partial / CONTENT
    verify(archive, source)
    cache.clear(content)
    content.mkdir()
    unpack(archive, content)
    archive.unlink()


def _from_store(source: Source, cache: Cache, meter: Meter) -> Path:
    from realtime_serve.sources import objects  # noqa: PLC0415

    name = key_of(source.uri)
    try:
        store = objects.open_store(source.uri, source.shown)
        blobs = objects.list_model(store, source.shown)
    except EngineFailed as failure:
        known = cache.last(name) if failure.reason == UNREACHABLE else None
        if known is None:
            raise
        log.warning("the store does not answer; what was downloaded before is used: %s", failure)
        return model_directory(known, source.shown)
    meter.expect(sum(blob.size for blob in blobs))

    def fill(partial: Path) -> None:
        there = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        cache.check_room(meter.total - there, shown=source.shown)
        for blob in blobs:
            objects.download(store, blob, _place(partial, blob.path), shown=source.shown, meter=meter)

    key = key_of(source.uri, *(f"{blob.path} {blob.size} {blob.tag}" for blob in blobs))
    place = cache.hold(key, fill, shown=source.shown, meter=meter)
    cache.remember(name, key)
    return model_directory(place, source.shown)


def _place(partial: Path, path: str) -> Path:
    """Keys of objects may hold anything."""
    if path.startswith("/") or ".." in path.split("/"):
        raise EngineFailed(INVALID, f"the object {path!r} leads out of its model")
    return partial / path
