"""Whether anything about a model has changed since it was last looked at, told from versions alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from inference_operator import names

Object = Mapping[str, Any]


class Edition(NamedTuple):
    """Which object, and which state of it."""

    uid: str
    resource_version: str


def edition(found: Object) -> Edition:
    return Edition(found["metadata"]["uid"], found["metadata"]["resourceVersion"])


def fingerprint(model: Object, owned: Iterable[Edition]) -> str:
    """Of a model and of everything with its label. Our own writes of its status do not count as a change."""
    meta = model["metadata"]
    asked = (meta["uid"], meta.get("generation"), meta.get("annotations") or {}, "deletionTimestamp" in meta)
    return names.short_hash(json.dumps([asked, sorted(owned)], sort_keys=True), 12)
