"""Which versions to load, drain and drop, and which one gets new work. Pure.

What is wanted may change at any time, so nothing here remembers a plan: each decision is made from what is wanted and
what is there. A version is loaded beside the others and gets new work once it is ready; until then, and if it never is,
new work stays where it was. Memory comes first: nothing is loaded while another loads or something is on its way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from realtime_serve.settings.version import ModelVersion


class Wanted(NamedTuple):
    """The versions to hold, and the one of them that new work shall go to."""

    versions: tuple[ModelVersion, ...]
    active: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A version that is here in some way."""

    definition: ModelVersion
    ready: bool = False
    loading: bool = False
    given_up: bool = False  # it failed, and is not tried again
    again: bool = False  # what it lacked when it failed may be there now
    ending: bool = False  # its process is being ended: it cannot be kept
    work: int = 0  # accepted requests
    overdue: bool = False  # it had its time to end its streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now; the next change is followed by the next decision."""

    current: str  # that gets new work
    drain: frozenset[str] = frozenset()  # no new work for these
    drop: frozenset[str] = frozenset()  # end their processes
    load: ModelVersion | None = None
    lost: bool = False  # there is nothing to serve and nothing left to try


def decide(wanted: Wanted, held: Mapping[str, Held], current: str) -> Decision:
    """Return what brings `held` one step closer to `wanted`."""
    listed = {version.version: version for version in wanted.versions}
    leaving = {label for label in held if label not in listed}
    drop = {label for label, version in held.items() if not version.ending and _droppable(version, listed)}
    blocked = bool(leaving) or bool(drop) or any(v.loading or v.ending for v in held.values())
    missing = [label for label in _active_first(wanted) if label not in held]
    tried = not missing and all(held[label].given_up for label in listed)
    return Decision(
        current=_current(wanted, held, current),
        drain=frozenset(leaving),
        drop=frozenset(drop),
        load=listed[missing[0]] if missing and not blocked else None,
        lost=tried and not blocked,
    )


def _droppable(version: Held, listed: Mapping[str, ModelVersion]) -> bool:
    """Not wanted and without work; or failed, with a reason to try anew: to drop it is the first half of that."""
    wanted = listed.get(version.definition.version)
    if wanted is None:
        return version.work == 0 or version.overdue
    return version.given_up and (version.again or wanted != version.definition)


def _active_first(wanted: Wanted) -> list[str]:
    labels = [version.version for version in wanted.versions]
    return sorted(labels, key=lambda label: label != wanted.active)  # stable


def _current(wanted: Wanted, held: Mapping[str, Held], current: str) -> str:
    """The active one when it is ready, else the one that had the work so far, else whichever serves."""
    labels = [label for label in _active_first(wanted) if label in held and not held[label].ending]
    if wanted.active in labels and held[wanted.active].ready:
        return wanted.active
    if current in labels and not held[current].given_up:
        return current
    return next((label for label in labels if held[label].ready), wanted.active)
