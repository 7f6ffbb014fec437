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

from inference_operator import gates, judging, phases, verbs, verifying
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


def _each(
    phases: tuple[Phase, ...], when: Gate, step: Step, leads_to: Phase, reason: Reason
) -> tuple[Row, ...]:
    """The same row in several phases."""
    return tuple(Row(phase, when, step, leads_to, reason) for phase in phases)


P, S, R = Phase, Step, Reason
ASKED = (P.VERIFYING, P.AWAITING_APPROVAL)
RISING = (P.PREPARING, P.ROLLING_BACK, *ASKED)
TRAFFIC = Lane(
    phases.active,
    (Row(P.READY, gates.traffic_lost, S.RESTORE, P.READY, R.TRAFFIC_RESTORED),),
)
JUDGED = Lane(
    phases.judged,
    (
        Row(P.ANALYZING, judging.breached, S.CONDEMN, P.ROLLING_BACK, R.ANALYSIS_BREACHED),
        *_each((P.ANALYZING, P.READY), verbs.rollback_asked, S.ROLL_BACK, P.ROLLING_BACK, R.ROLLED_BACK),
    ),
)
FAILED = Lane(
    phases.failed,
    (Row(P.FAILED, verbs.retry_asked, S.RETRY, P.PENDING, R.RETRIED),),
)
SUPERSEDED = Lane(
    phases.superseded,
    (Row(P.PREPARING, gates.unwanted, S.STOP_SUPERSEDED, P.PENDING, R.SUPERSEDED),),
)
IN_PLACE = Lane(
    phases.in_place,
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
    phases.wanted,
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
    phases.leaving,
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
    phases.resting,
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
