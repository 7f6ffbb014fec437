"""The rollout as a table. Rule: everything that decides which step comes next stands here. Pure.

Each lane is looked at in turn, and in it the rows of the present phase from the top; the first row whose gate
passes is the step. At most one step is taken per observation. No row passes: wait.

A fleet's way: it is prepared (Pending, Preparing), asked golden prompts (Verifying), approved (AwaitingApproval),
promoted (Promoting: its predecessor waits for the order to drain) and watched (Analyzing), while its predecessor
drains (Draining) to zero (Ready). One that does badly under traffic is Failed: its predecessor is called back and
has the traffic again as soon as its pods accept work (RollingBack), as it has when it is asked for while it is
still warm. A new ask may come at any time and starts another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from inference_operator import gates, judging, keeping, names, verbs, verifying
from inference_operator.in_place import gates as within
from inference_operator.reasons import Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.verdicts import Gate, Verdict


class Step(StrEnum):
    """What a row does. Metrics and logs show these words."""

    RESTORE = "restore"
    SWITCH_BACK = "switch-back"
    UNLOAD = "unload"
    VERIFY_INCOMING = "verify-incoming"
    SWITCH = "switch"
    MAKE_WAY = "make-way"
    LOAD_ALONE = "load-alone"
    GIVE_UP = "give-up"
    DRAIN_VERSION = "drain-version"
    DROP_DRAINED = "drop-drained"
    DROP_OVERDUE = "drop-overdue"
    MARK_IDLE = "mark-idle"
    UNMARK_IDLE = "unmark-idle"
    CONDEMN = "condemn"
    ROLL_BACK = "roll-back"
    RETRY = "retry"
    RECALL = "recall"
    ABORT = "abort"
    VERIFY = "verify"
    REJECT = "reject"
    AWAIT_APPROVAL = "await-approval"
    STOP_SUPERSEDED = "stop-superseded"
    REVIVE = "revive"
    CREATE = "create"
    LOAD = "load"
    RECREATE = "recreate"
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
    when: Gate
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


def _judged(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.roles.active:
        yield (Phase.ANALYZING if judging.on_trial(scene) else Phase.READY), scene.roles.active


def _failed(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.failure:
        yield Phase.FAILED, scene.failure


def _superseded(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    return ((Phase.PREPARING, fleet) for fleet in scene.roles.superseded)


def _in_place(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    fleet = scene.roles.active
    if fleet and fleet.incoming:
        if verbs.aborted(scene) or not verbs.paused(scene):
            yield Phase.PREPARING, fleet
    elif fleet and fleet.outgoing:
        yield Phase.PROMOTING, fleet
        if fleet.outgoing.drain_started:
            yield Phase.DRAINING, fleet


def _wanted(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.roles.preview:
        if scene.condemned or verbs.aborted(scene) or not verbs.paused(scene):
            yield preview_phase(scene, scene.roles.preview), scene.roles.preview
    elif scene.condemned:
        if scene.previous:
            yield Phase.ROLLING_BACK, scene.previous
    elif _may_begin(scene):
        yield Phase.PENDING, scene.kept


def _may_begin(scene: Scene) -> bool:
    """Nothing has been begun for the wanted revision, and nobody is against it."""
    held = scene.arrived or scene.failure or verbs.barred(scene) or verbs.paused(scene)
    return not held and not _loads(scene)


def _loads(scene: Scene) -> bool:
    return scene.roles.active is not None and scene.roles.active.incoming is not None


def _leaving(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.recreating and scene.roles.active and scene.roles.active.replicas:
        yield Phase.DRAINING, scene.roles.active
    for fleet in scene.roles.leaving:
        yield (Phase.PROMOTING if fleet.drain_started is None else Phase.DRAINING), fleet


def _resting(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    return ((Phase.READY, fleet) for fleet in scene.roles.resting)


def preview_phase(scene: Scene, fleet: Fleet) -> Phase:
    """How far the fleet is that is being prepared. One that had the traffic before is asked nothing."""
    if names.RECALLED in fleet.annotations or fleet.promoted_at:
        return Phase.ROLLING_BACK
    if fleet.awaiting_since:
        return Phase.AWAITING_APPROVAL
    return Phase.VERIFYING if verifying.under_way(scene, fleet) else Phase.PREPARING


def _each(
    phases: tuple[Phase, ...], when: Gate, step: Step, leads_to: Phase, reason: Reason
) -> tuple[Row, ...]:
    """The same row in several phases."""
    return tuple(Row(phase, when, step, leads_to, reason) for phase in phases)


P, S, R = Phase, Step, Reason
ASKED = (P.VERIFYING, P.AWAITING_APPROVAL)
RISING = (P.PREPARING, P.ROLLING_BACK, *ASKED)
TRAFFIC = Lane(
    _active,
    (Row(P.READY, gates.traffic_lost, S.RESTORE, P.READY, R.TRAFFIC_RESTORED),),
)
JUDGED = Lane(
    _judged,
    (
        Row(P.ANALYZING, judging.breached, S.CONDEMN, P.ROLLING_BACK, R.ANALYSIS_BREACHED),
        *_each((P.ANALYZING, P.READY), verbs.rollback_asked, S.ROLL_BACK, P.ROLLING_BACK, R.ROLLED_BACK),
    ),
)
FAILED = Lane(
    _failed,
    (Row(P.FAILED, verbs.retry_asked, S.RETRY, P.PENDING, R.RETRIED),),
)
SUPERSEDED = Lane(
    _superseded,
    (Row(P.PREPARING, gates.unwanted, S.STOP_SUPERSEDED, P.PENDING, R.SUPERSEDED),),
)
IN_PLACE = Lane(
    _in_place,
    (
        Row(P.PREPARING, within.incoming_unwanted, S.UNLOAD, P.PENDING, R.SUPERSEDED),
        Row(P.PREPARING, within.incoming_aborted, S.GIVE_UP, P.FAILED, R.ABORTED),
        Row(P.PREPARING, within.incoming_unverified, S.VERIFY_INCOMING, P.PREPARING, R.VERIFICATION_STARTED),
        Row(P.PREPARING, within.incoming_wrong, S.GIVE_UP, P.FAILED, R.VERIFICATION_FAILED),
        Row(P.PREPARING, within.incoming_ready, S.SWITCH, P.PROMOTING, R.PROMOTED),
        Row(P.PREPARING, within.incoming_lacks_memory, S.MAKE_WAY, P.PREPARING, R.DRAIN_ORDERED),
        Row(P.PREPARING, within.predecessor_gone, S.LOAD_ALONE, P.PREPARING, R.STREAMS_FINISHED),
        Row(P.PREPARING, within.incoming_failed, S.GIVE_UP, P.FAILED, R.ROLLOUT_FAILED),
        Row(P.PROMOTING, within.outgoing_wanted, S.SWITCH_BACK, P.PREPARING, R.STRATEGY_CHOSEN),
        Row(P.PROMOTING, within.work_moved, S.DRAIN_VERSION, P.DRAINING, R.DRAIN_ORDERED),
        Row(P.DRAINING, within.outgoing_drained, S.DROP_DRAINED, P.READY, R.DRAINED),
        Row(P.DRAINING, within.outgoing_overdue, S.DROP_OVERDUE, P.READY, R.DRAIN_DEADLINE_EXCEEDED),
        Row(P.DRAINING, within.outgoing_idle, S.MARK_IDLE, P.DRAINING, R.STREAMS_FINISHED),
        Row(P.DRAINING, within.outgoing_busy, S.UNMARK_IDLE, P.DRAINING, R.STREAMS_RESUMED),
    ),
)
WANTED = Lane(
    _wanted,
    (
        Row(P.PENDING, within.loadable, S.LOAD, P.PREPARING, R.STRATEGY_CHOSEN),
        Row(P.PENDING, gates.way_to_be_cleared, S.RECREATE, P.PENDING, R.DRAIN_ORDERED),
        Row(P.PENDING, gates.revision_kept, S.REVIVE, P.PREPARING, R.FLEET_REVIVED),
        Row(P.PENDING, gates.revision_absent, S.CREATE, P.PREPARING, R.FLEET_CREATED),
        *_each(RISING, verbs.abort_asked, S.ABORT, P.FAILED, R.ABORTED),
        Row(P.ROLLING_BACK, gates.at_zero, S.REVIVE, P.ROLLING_BACK, R.FLEET_REVIVED),
        Row(P.ROLLING_BACK, gates.told_to_drain, S.RECALL, P.ROLLING_BACK, R.DRAIN_CANCELLED),
        *_each((P.PREPARING, P.VERIFYING), gates.missized, S.RESIZE, P.PREPARING, R.FLEET_RESIZED),
        Row(P.ROLLING_BACK, gates.missized, S.RESIZE, P.ROLLING_BACK, R.FLEET_RESIZED),
        Row(P.AWAITING_APPROVAL, gates.missized, S.RESIZE, P.AWAITING_APPROVAL, R.FLEET_RESIZED),
        Row(P.PREPARING, gates.unverified, S.VERIFY, P.VERIFYING, R.VERIFICATION_STARTED),
        Row(P.AWAITING_APPROVAL, gates.unverified, S.VERIFY, P.AWAITING_APPROVAL, R.VERIFICATION_STARTED),
        *_each(ASKED, verifying.answered_wrong, S.REJECT, P.FAILED, R.VERIFICATION_FAILED),
        *_each(
            (P.PREPARING, P.VERIFYING),
            gates.needs_approval,
            S.AWAIT_APPROVAL,
            P.AWAITING_APPROVAL,
            R.APPROVAL_NEEDED,
        ),
        *_each(RISING, gates.promotable, S.PROMOTE, P.PROMOTING, R.PROMOTED),
        *_each((P.PREPARING, P.ROLLING_BACK), gates.deadline_passed, S.FAIL, P.FAILED, R.ROLLOUT_FAILED),
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

LANES = (TRAFFIC, JUDGED, FAILED, SUPERSEDED, IN_PLACE, WANTED, LEAVING, RESTING)
HELD = (TRAFFIC, LEAVING)
"""What goes on while the spec asks for something that is refused, and while it is suspended."""


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
    if scene.spec.suspend:
        return Phase.SUSPENDED
    if scene.condemned:
        return Phase.ROLLING_BACK if scene.previous else Phase.FAILED
    if not scene.arrived and not scene.failure and verbs.paused(scene):
        return Phase.PAUSED
    if scene.roles.preview:
        return preview_phase(scene, scene.roles.preview)
    return _phase_without_preview(scene)


def _phase_without_preview(scene: Scene) -> Phase:
    swapping = [phase for phase, _ in _in_place(scene)]
    if Phase.PREPARING in swapping:
        return Phase.PREPARING
    if not scene.arrived:
        return Phase.FAILED if scene.failure or verbs.barred(scene) else Phase.PENDING
    return swapping[-1] if swapping else _arrived_phase(scene)


def _arrived_phase(scene: Scene) -> Phase:
    if any(fleet.drain_started is None for fleet in scene.roles.leaving):
        return Phase.PROMOTING
    if judging.on_trial(scene) and scene.previous:
        return Phase.ANALYZING
    if any(not keeping.at_rest(scene, fleet) for fleet in scene.roles.leaving):
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
