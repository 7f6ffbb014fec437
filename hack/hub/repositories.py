"""Directories seen as hub repositories: ROOT/<org>/<repo> is revision main, ROOT/<org>/<repo>@<revision> another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class HubFile:
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Revision:
    """One state of a repository. Its commit follows from the content, as git's would."""

    commit: str  # 40 hex digits
    files: Mapping[str, HubFile]


class RepositoryMissing(Exception):
    """The hub has no such repository."""


class RevisionMissing(Exception):
    """The repository has neither a revision nor a commit of that name."""


class Repositories:
    """Reads the directory at every call, so that what is put there is served at once; hashes each file once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hashed: dict[tuple[Path, int, int], HubFile] = {}

    def find(self, organisation: str, repository: str, revision: str) -> Revision:
        """The state that a revision's name or a commit stands for."""
        known = self._revisions(organisation, repository)
        if not known:
            raise RepositoryMissing(f"{organisation}/{repository}")
        if revision in known:
            return self._read(known[revision])
        for directory in known.values():
            state = self._read(directory)
            if state.commit == revision:
                return state
        raise RevisionMissing(f"{organisation}/{repository} has no revision {revision!r}")

    def _revisions(self, organisation: str, repository: str) -> dict[str, Path]:
        """Directory of each named revision; empty when the repository is not there."""
        if not (NAME.fullmatch(organisation) and NAME.fullmatch(repository)):
            return {}
        parent = self._root / organisation
        if not parent.is_dir():
            return {}
        split = ((entry, *entry.name.partition("@")) for entry in parent.iterdir() if entry.is_dir())
        return {revision or "main": entry for entry, name, _, revision in split if name == repository}

    def _read(self, directory: Path) -> Revision:
        paths = sorted(path for path in directory.resolve().rglob("*") if path.is_file())
        files = {path.relative_to(directory.resolve()).as_posix(): self._hash(path) for path in paths}
        listing = "".join(f"{file.sha256} {name}\n" for name, file in files.items())
        return Revision(hashlib.sha1(listing.encode()).hexdigest(), files)  # noqa: S324  # a name, as in git

    def _hash(self, path: Path) -> HubFile:
        stat = path.stat()
        key = (path, stat.st_size, stat.st_mtime_ns)
        if key not in self._hashed:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            self._hashed[key] = HubFile(path, stat.st_size, digest)
        return self._hashed[key]
