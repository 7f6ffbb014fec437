"""Which fields differ between two specs, and how each of them takes effect. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from inference_operator.spec import Spec
from inference_operator.spec.revision import ROLLING, ROLLING_FIELDS

Effect = Literal["rolling", "live", "steering"]
"""A new revision; running pods or Services change as they are; the operator reads it at its next step."""
_STEERING = ("rollout", "suspend")


@dataclass(frozen=True, slots=True)
class Change:
    path: str
    """As a person writes it: `spec.model.version`."""
    effect: Effect
    before: Any
    """None: not set."""
    after: Any


def changes(before: Spec | None, after: Spec) -> tuple[Change, ...]:
    """In the order of the spec, with defaults filled in. Where nothing was before, nothing is changed."""
    if before is None:
        return ()
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = dict.fromkeys([*old, *new])
    differing = [path for path in paths if old.get(path) != new.get(path)]
    return tuple(Change(path, _effect(path), old.get(path), new.get(path)) for path in differing)


def _effect(path: str) -> Effect:
    field = path.removeprefix("spec.")
    section = field.partition(".")[0]
    if section in ROLLING or field in ROLLING_FIELDS:
        return "rolling"
    return "steering" if section in _STEERING else "live"


def _leaves(spec: Spec) -> Iterator[tuple[str, Any]]:
    """Every value that is no section, with its path. A list is one value."""
    return _below("spec", msgspec.to_builtins(spec))


def _below(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, item in value.items():
        yield from _below(f"{path}.{key}", item)
