"""Whether anything about a model has changed since it was last looked at, told from versions alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from inference_operator import names

Object = Mapping[str, Any]


def fingerprint(model: Object, owned: Iterable[Object]) -> str:
    """Of a model and of everything with its label. Our own writes of its status do not count as a change."""
    meta = model["metadata"]
    asked = (meta["uid"], meta.get("generation"), meta.get("annotations") or {}, "deletionTimestamp" in meta)
    versions = sorted((one["metadata"]["uid"], one["metadata"]["resourceVersion"]) for one in owned)
    return names.short_hash(json.dumps([asked, versions], sort_keys=True), 12)
