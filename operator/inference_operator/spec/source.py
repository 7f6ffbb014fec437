"""spec.model: which weights to serve, and under which name."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta

from inference_operator.spec.base import Name, Section, Text

Scheme = Literal["hf", "pvc", "file", "s3", "gs", "az", "http", "https"]

_SCHEMES: tuple[Scheme, ...] = ("hf", "pvc", "file", "s3", "gs", "az", "http", "https")
OBJECT_STORES: frozenset[str] = frozenset({"s3", "gs", "az"})
WEB: frozenset[str] = frozenset({"http", "https"})
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_HUB = re.compile(r"hf://[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_CLAIM = re.compile(r"pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?")
_AZURE = re.compile(r"az://[a-z0-9]{3,24}/[^/]+(/.*)?")
LOCAL: frozenset[Scheme] = frozenset({"pvc", "file"})
"""Weights that are in the pod without a download."""

_SIZE = r"^([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i?|[mk])?$"


class Cache(Section, frozen=True, kw_only=True):
    """Where downloaded weights are kept: a claim, or else an emptyDir of sizeLimit."""

    claim_name: Name = ""
    size_limit: Annotated[str, Meta(max_length=32, pattern=_SIZE)] = ""

    def __post_init__(self) -> None:
        if self.claim_name and self.size_limit:
            raise ValueError("claimName and sizeLimit exclude each other")


class ModelSource(Section, frozen=True, kw_only=True):
    """Rolling: any change is a new revision."""

    uri: Annotated[str, Meta(min_length=1, max_length=1024)]
    version: Annotated[str, Meta(min_length=1, max_length=128)]
    revision: Annotated[str, Meta(min_length=1, max_length=128)] = "main"
    """Of the hub's repository; hf:// alone reads it."""
    served_name: Text = ""
    """Empty: the resource's own name."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_model_length: Annotated[int, Meta(ge=1, le=4_194_304)] = 2048
    """Tokens, prompt and answer together."""
    sha256: Annotated[str, Meta(max_length=64, pattern=r"^([0-9a-f]{64})?$")] = ""
    """Of an archive; http(s) needs one."""
    secret_ref: Name = ""
    """A Secret that opens the source: its key `token`, or for object stores all its keys as variables."""
    cache: Cache = Cache()

    def __post_init__(self) -> None:
        scheme, separator, rest = self.uri.partition("://")
        if not separator or scheme not in _SCHEMES:
            raise ValueError(
                f"uri {self.uri!r} must begin with one of {', '.join(f'{s}://' for s in _SCHEMES)}"
            )
        if not rest:
            raise ValueError(f"uri {self.uri!r} names nothing after {scheme}://")
        if scheme == "hf" and not _HUB.fullmatch(self.uri):
            raise ValueError(f"uri {self.uri!r} must be hf://ORGANISATION/REPOSITORY")
        if scheme == "pvc" and not _CLAIM.fullmatch(self.uri):
            raise ValueError(f"uri {self.uri!r} must be pvc://CLAIM or pvc://CLAIM/PATH")
        if scheme == "file" and not rest.startswith("/"):
            raise ValueError(f"uri {self.uri!r} must be file:///ABSOLUTE/PATH")
        if scheme == "az" and not _AZURE.fullmatch(self.uri):
            raise ValueError(
                f"uri {self.uri!r} must be az://ACCOUNT/CONTAINER or az://ACCOUNT/CONTAINER/PATH"
            )
        if ".." in rest.split("/"):
            raise ValueError(f"uri {self.uri!r} must not climb with '..'")
        if scheme in WEB and not (self.is_archive and self.sha256):
            raise ValueError(
                f"uri {self.uri!r} must name an archive ({', '.join(ARCHIVES)}), with its sha256"
            )
        if self.sha256 and not self.is_archive:
            raise ValueError(f"sha256 is of an archive, and uri {self.uri!r} names none")

    @property
    def scheme(self) -> str:
        return self.uri.partition("://")[0]

    @property
    def is_archive(self) -> bool:
        path = self.uri.partition("?")[0].partition("#")[0]
        return self.scheme in OBJECT_STORES | WEB and path.endswith(ARCHIVES)
