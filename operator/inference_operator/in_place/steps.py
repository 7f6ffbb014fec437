"""What each step of a swap in place writes: marks on the active fleet, and no more. Pure.

The settings follow from the marks in the next round (`listing`), and the pods from the settings.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from inference_operator import names
from inference_operator.actions import PatchFleet, Verify, write_time
from inference_operator.marks import gone, patch
from inference_operator.observed import Fleet
from inference_operator.roles import Scene
from inference_operator.strategy import choose
from inference_operator.verdicts import Verdict
from inference_operator.verifying import verify as question
from inference_operator.weights import Incoming, Outgoing, Weights, weights_of, written

FAILURE = (names.FAILED, names.FAILED_AT, names.FAILED_ASK, names.FAILED_REVISION, names.RETRIED)
"""The marks of a version that could not be loaded; they go when another try begins."""


def load(scene: Scene) -> Iterator[PatchFleet]:
    """List the wanted version beside the one that serves."""
    fleet = scene.roles.active
    if fleet is None:
        return
    now = write_time(scene.observed.now)
    incoming = Incoming(
        weights=weights_of(scene.spec), revision=scene.revision, started_at=now, why=choose(scene).message
    )
    since = {} if names.IN_PLACE_SINCE in fleet.annotations else {names.IN_PLACE_SINCE: now}
    yield patch(fleet, gone(fleet, *FAILURE) | {names.INCOMING: written(incoming)} | since)


def unload(_scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    yield patch(fleet, {names.INCOMING: None})


def switch(scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    """The fleet is of the new revision from here on: one write, so there is no moment in between."""
    incoming, own = fleet.incoming, fleet.weights
    if incoming is None or own is None:
        return
    outgoing = None if incoming.alone_since else written(Outgoing(weights=own, revision=fleet.revision))
    yield patch(
        fleet,
        _identity(incoming.weights, incoming.revision)
        | gone(fleet, *FAILURE)
        | {
            names.PROMOTED_AT: write_time(scene.observed.now),
            names.INCOMING: None,
            names.OUTGOING: outgoing,
        },
    )


def switch_back(scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    """What was going out comes in again; it is loaded already."""
    outgoing = fleet.outgoing
    if outgoing is None:
        return
    now = write_time(scene.observed.now)
    incoming = Incoming(
        weights=outgoing.weights, revision=outgoing.revision, started_at=now, why="it is still loaded"
    )
    yield patch(fleet, {names.INCOMING: written(incoming), names.OUTGOING: None})


def verify(scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet | Verify]:
    asked = question(scene, fleet)
    yield patch(fleet, {names.VERIFYING: asked.subject})
    yield asked


def make_way(scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    if fleet.incoming:
        now = write_time(scene.observed.now)
        yield _incoming(fleet, msgspec.structs.replace(fleet.incoming, alone_since=now))


def load_alone(_scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    if fleet.incoming:
        yield _incoming(fleet, msgspec.structs.replace(fleet.incoming, cleared=True))


def give_up(scene: Scene, fleet: Fleet, verdict: Verdict) -> Iterator[PatchFleet]:
    """The settings list the old version alone again; nothing else is touched."""
    if fleet.incoming:
        marks = {
            names.FAILED: f"{verdict.reason}: {verdict.message}"[:1024],
            names.FAILED_AT: write_time(scene.observed.now),
            names.FAILED_ASK: scene.ask,
            names.FAILED_REVISION: fleet.incoming.revision,
        }
        if used := scene.verb(names.RETRY):
            marks[names.RETRIED] = used
        yield patch(fleet, {names.INCOMING: None, **marks})


def drain_version(scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    yield from _outgoing(fleet, drain_started=write_time(scene.observed.now))


def mark_idle(scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    yield from _outgoing(fleet, drained_at=write_time(scene.observed.now))


def unmark_idle(_scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    yield from _outgoing(fleet, drained_at="")


def drop(_scene: Scene, fleet: Fleet, _verdict: Verdict) -> Iterator[PatchFleet]:
    """The settings list the new version alone."""
    yield patch(fleet, {names.OUTGOING: None})


def _outgoing(fleet: Fleet, **changed: str) -> Iterator[PatchFleet]:
    if fleet.outgoing:
        mark = written(msgspec.structs.replace(fleet.outgoing, **changed))
        yield patch(fleet, {names.OUTGOING: mark})


def _incoming(fleet: Fleet, incoming: Incoming) -> PatchFleet:
    return patch(fleet, {names.INCOMING: written(incoming)})


def _identity(weights: Weights, revision: str) -> dict[str, str | None]:
    return {
        names.FLEET_VERSION: weights.version,
        names.FLEET_REVISION: revision,
        names.WEIGHTS: written(weights),
    }
