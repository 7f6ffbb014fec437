"""What names a set of weights, and what of it may be shown. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

OBJECT_STORES = frozenset({"s3", "gs", "az"})
WEB = frozenset({"http", "https"})
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")

WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "tokenizer*")
"""No pickles: they could run code, and safetensors are there for every model of today."""


NOT_FOUND = "SourceNotFound"
"""The reason for what is not there; the operator knows it by this word."""


class Source(NamedTuple):
    """The uri as `--model` takes it."""

    uri: str
    revision: str = "main"  # of a repository on the hub
    sha256: str = ""  # of an archive; empty: not known

    @property
    def scheme(self) -> str:
        """What stands before ://; empty for a path."""
        scheme, separator, _ = self.uri.partition("://")
        return scheme if separator else ""

    @property
    def is_archive(self) -> bool:
        """Whether it is one file that holds the model's files."""
        return self.scheme in OBJECT_STORES | WEB and urlsplit(self.uri).path.endswith(ARCHIVES)

    @property
    def shown(self) -> str:
        """The uri without what may be secret in it: a password, a signature."""
        if self.scheme not in WEB:
            return self.uri
        parts = urlsplit(self.uri)
        return f"{self.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def problem(source: Source) -> str:
    """Why this cannot be a source, as a sentence without its full stop; empty when it can."""
    if source.scheme in WEB and not source.is_archive:
        return (
            f"{source.shown}: over http(s) a model is one archive, its name ending in {', '.join(ARCHIVES)}"
        )
    if source.scheme in WEB and not source.sha256:
        return f"{source.shown}: over http(s) the archive's sha256 has to be given"
    if source.scheme == "az" and not re.fullmatch(r"az://[a-z0-9]{3,24}/[^/]+(/.*)?", source.uri):
        return f"{source.shown}: must be az://ACCOUNT/CONTAINER/PATH, the account's name of 3 to 24 letters and digits"
    if source.sha256 and not source.is_archive:
        return f"{source.shown}: sha256 is of an archive, and this is none"
    return ""
