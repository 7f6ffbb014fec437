"""The rollout as a table. Rule: everything that decides which step comes next stands here. Pure.

Each lane is looked at in turn, and in it the rows of the present phase from the top; the first row whose gate
passes is the step. At most one step is taken per observation. No row passes: wait.

A fleet's way: it is prepared (Pending, Preparing), promoted (Promoting: its predecessor waits for the order to
drain), and its predecessor drains (Draining) to zero (Ready). A new ask may come at any time and starts another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from inference_operator import gates, names
from inference_operator.reasons import Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.gates import Verdict
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene


class Step(StrEnum):
    """What a row does. Metrics and logs show these words."""

    RESTORE = "restore"
    STOP_SUPERSEDED = "stop-superseded"
    REVIVE = "revive"
    CREATE = "create"
    RESIZE = "resize"
    PROMOTE = "promote"
    FAIL = "fail"
    ORDER_DRAIN = "order-drain"
    TELL_PODS = "tell-pods"
    STOP_DRAINED = "stop-drained"
    STOP_OVERDUE = "stop-overdue"
    MARK_DRAINED = "mark-drained"
    UNMARK_DRAINED = "unmark-drained"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Row:
    phase: Phase
    when: gates.Gate
    step: Step
    next: Phase
    reason: Reason


@dataclass(frozen=True, slots=True)
class Lane:
    """Rows that look at one kind of fleet, each such fleet in its own phase."""

    fleets: Callable[[Scene], Iterator[tuple[Phase, Fleet | None]]]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """The row that was chosen, for which fleet (None: one is to be born), and why."""

    row: Row
    fleet: Fleet | None
    verdict: Verdict


def _active(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.roles.active:
        yield Phase.READY, scene.roles.active


def _superseded(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    return ((Phase.PREPARING, fleet) for fleet in scene.roles.superseded)


def _wanted(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.roles.preview:
        yield Phase.PREPARING, scene.roles.preview
    elif not scene.arrived and scene.failure is None:
        yield Phase.PENDING, scene.kept


def _leaving(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    for fleet in scene.roles.leaving:
        yield (Phase.PROMOTING if fleet.drain_started is None else Phase.DRAINING), fleet


def _resting(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    return ((Phase.READY, fleet) for fleet in scene.roles.resting)


P, S, R = Phase, Step, Reason
TRAFFIC = Lane(
    _active,
    (Row(P.READY, gates.traffic_lost, S.RESTORE, P.READY, R.TRAFFIC_RESTORED),),
)
SUPERSEDED = Lane(
    _superseded,
    (Row(P.PREPARING, gates.unwanted, S.STOP_SUPERSEDED, P.PENDING, R.SUPERSEDED),),
)
WANTED = Lane(
    _wanted,
    (
        Row(P.PENDING, gates.revision_kept, S.REVIVE, P.PREPARING, R.FLEET_REVIVED),
        Row(P.PENDING, gates.revision_absent, S.CREATE, P.PREPARING, R.FLEET_CREATED),
        Row(P.PREPARING, gates.missized, S.RESIZE, P.PREPARING, R.FLEET_RESIZED),
        Row(P.PREPARING, gates.promotable, S.PROMOTE, P.PROMOTING, R.PROMOTED),
        Row(P.PREPARING, gates.deadline_passed, S.FAIL, P.FAILED, R.ROLLOUT_FAILED),
    ),
)
LEAVING = Lane(
    _leaving,
    (
        Row(P.PROMOTING, gates.endpoints_verified, S.ORDER_DRAIN, P.DRAINING, R.DRAIN_ORDERED),
        Row(P.DRAINING, gates.pods_untold, S.TELL_PODS, P.DRAINING, R.DRAIN_ORDERED),
        Row(P.DRAINING, gates.drained, S.STOP_DRAINED, P.READY, R.DRAINED),
        Row(P.DRAINING, gates.drain_overdue, S.STOP_OVERDUE, P.READY, R.DRAIN_DEADLINE_EXCEEDED),
        Row(P.DRAINING, gates.streams_gone, S.MARK_DRAINED, P.DRAINING, R.STREAMS_FINISHED),
        Row(P.DRAINING, gates.streams_back, S.UNMARK_DRAINED, P.DRAINING, R.STREAMS_RESUMED),
    ),
)
RESTING = Lane(
    _resting,
    (Row(P.READY, gates.surplus, S.FORGET, P.READY, R.HISTORY_TRIMMED),),
)

LANES = (TRAFFIC, SUPERSEDED, WANTED, LEAVING, RESTING)
HELD = (TRAFFIC, LEAVING)
"""What goes on while the spec asks for something that is refused."""


def next_step(scene: Scene, lanes: tuple[Lane, ...] = LANES) -> Taken | None:
    """The one step to take now; None: wait, or rest."""
    for lane in lanes:
        for phase, fleet in lane.fleets(scene):
            for row in lane.rows:
                if row.phase is phase and (verdict := row.when(scene, fleet)).passed:
                    return Taken(row, fleet, verdict)
    return None


def phase_of(scene: Scene) -> Phase:
    """One word for the whole: the wanted revision's way first, then what is left of others."""
    if scene.roles.preview:
        return Phase.PREPARING
    if not scene.arrived:
        return Phase.FAILED if scene.failure else Phase.PENDING
    if any(fleet.drain_started is None for fleet in scene.roles.leaving):
        return Phase.PROMOTING
    if scene.roles.leaving:
        return Phase.DRAINING
    serves = bool(scene.observed.ready_endpoints(names.active_service(scene.observed.model.name)))
    return Phase.READY if serves or scene.spec.replicas == 0 else Phase.PENDING


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    edges = [
        f"    {row.phase} --> {row.next}: {row.when.__name__.replace('_', ' ')} / {row.step}"
        for lane in LANES
        for row in lane.rows
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Phase.PENDING}", *edges, ""])


if __name__ == "__main__":
    print(diagram(), end="")  # noqa: T201 - a person or the docs generator asked for it
