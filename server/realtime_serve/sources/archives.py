"""Unpacking archives that strangers made: plain files only, inside the directory only, no more than is plausible."""

from __future__ import annotations

import fnmatch
import hashlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from realtime_serve.errors import EngineFailed
from realtime_serve.settings.source import WANTED, Source
from realtime_serve.sources.failures import CHECKSUM, INVALID, human

MOST_FILES = 10_000
PLAUSIBLE_RATIO = 10  # weights hardly shrink; what grows more than this is made to fill a disk
PLAUSIBLE_EXTRA = 64 * 1024 * 1024
CHUNK = 1 << 20


class Member(NamedTuple):
    """One plain file of an archive."""

    name: str
    content: IO[bytes]


def verify(path: Path, source: Source) -> None:
    """Raises EngineFailed, and removes the file, when its checksum is not the one that was given."""
    if not source.sha256:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != source.sha256:
        path.unlink()
        message = f"{source.shown}: its sha256 is {digest.hexdigest()}, and {source.sha256} was expected"
        raise EngineFailed(CHECKSUM, message)


def unpack(archive: Path, target: Path) -> None:
    """Write the model's files of an archive into an empty directory. Raises EngineFailed for one that is not right."""
    try:
        with _opened(archive) as members:
            _write(members, target, most=archive.stat().st_size * PLAUSIBLE_RATIO + PLAUSIBLE_EXTRA)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise EngineFailed(INVALID, f"{archive.name}: the archive cannot be read: {error}") from error


def model_directory(root: Path, shown: str) -> Path:
    """Where config.json is: at the top, or in the one directory there. Raises EngineFailed."""
    for place in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        if (place / "config.json").is_file():
            return place
    raise EngineFailed(INVALID, f"{shown}: there is no config.json in it, so it is no model")


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield _of_zip(file)
    else:
        with tarfile.open(archive, "r|*") as file:
            yield _of_tar(file)


def _of_tar(file: tarfile.TarFile) -> Iterator[Member]:
    for member in file:
        if member.isdir():
            continue
        content = file.extractfile(member) if member.isreg() else None
        if content is None:
            raise EngineFailed(INVALID, f"{member.name!r} in the archive is no plain file")
        yield Member(member.name, content)


def _of_zip(file: zipfile.ZipFile) -> Iterator[Member]:
    for member in file.infolist():
        if member.is_dir():
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise EngineFailed(INVALID, f"{member.filename!r} in the archive is no plain file")
        if member.header_offset < 0:  # the library would seek there, and fail as a disk does
            raise zipfile.BadZipFile(f"{member.filename!r} begins before the archive does")
        with file.open(member) as content:
            yield Member(member.filename, content)


def _write(members: Iterator[Member], target: Path, *, most: int) -> None:
    room, files = most, 0
    for name, content in members:
        place = _inside(target, name)
        files += 1
        if files > MOST_FILES:
            raise EngineFailed(INVALID, f"the archive holds more than {MOST_FILES} files")
        if not any(fnmatch.fnmatch(place.name, pattern) for pattern in WANTED):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with place.open("xb") as file:
                while chunk := content.read(CHUNK):
                    room -= len(chunk)
                    if room < 0:
                        raise EngineFailed(INVALID, f"the archive unpacks to more than {human(most)}")
                    file.write(chunk)
        except FileExistsError as error:
            raise EngineFailed(INVALID, f"{name!r} is twice in the archive") from error


def _inside(target: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise EngineFailed(INVALID, f"{name!r} in the archive leads out of it")
    return target.joinpath(*path.parts)
