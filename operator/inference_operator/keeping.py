"""How long the predecessor of the active fleet stays warm, so that going back is a flip. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from inference_operator import judging
from inference_operator.diagnosis import diagnose
from inference_operator.reasons import Reason
from inference_operator.strategy import choose

if TYPE_CHECKING:
    from datetime import datetime

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene

SETTLE = timedelta(seconds=3)
"""After an analysis has ended: the round that ends it may still find a breach."""


def kept_until(scene: Scene, fleet: Fleet) -> datetime | None:
    """Until when a fleet that drains is kept though it has no stream; None when it is not kept.

    Only the one that the active fleet would give the traffic back to, and not where it takes the room that the
    next one needs.
    """
    if fleet is not scene.previous or fleet.drain_started is None or _in_the_way(scene):
        return None
    times = []
    if seconds := scene.spec.rollout.keep_previous_seconds:
        times.append(fleet.drain_started + timedelta(seconds=seconds))
    if end := judging.window_end(scene):
        times.append(end + SETTLE)
    return max(times, default=None)


def is_kept(scene: Scene, fleet: Fleet) -> bool:
    until = kept_until(scene, fleet)
    return until is not None and scene.observed.now < until


def at_rest(scene: Scene, fleet: Fleet) -> bool:
    """It has finished its streams and is only kept."""
    return fleet.drained_at is not None and is_kept(scene, fleet)


def _in_the_way(scene: Scene) -> bool:
    if not scene.arrived and choose(scene).reason is Reason.WAITING_FOR_ROOM:
        return True
    finding = diagnose(scene.roles.preview) if scene.roles.preview else None
    return finding is not None and finding.reason in {Reason.UNSCHEDULABLE, Reason.QUOTA_EXCEEDED}
