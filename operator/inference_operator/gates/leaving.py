"""Fleets that serve no purpose any more. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator.reasons import Reason
from inference_operator.verdicts import Verdict

if TYPE_CHECKING:
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene


def unwanted(_scene: Scene, fleet: Fleet) -> Verdict:
    """Holds for every superseded fleet: it never had traffic, so it can stop at once."""
    message = f"Fleet {fleet.name} (version {fleet.version}) was superseded before it had any traffic"
    return Verdict(passed=True, reason=Reason.SUPERSEDED, message=message)


def surplus(scene: Scene, fleet: Fleet) -> Verdict:
    """More fleets at zero than are to be kept. The failure of the present ask is kept: it bars a retry."""
    keep = scene.spec.rollout.history_limit
    spare = [each for each in scene.roles.resting if not scene.is_failure(each)]
    oldest = spare[: max(len(spare) - keep, 0)]
    gone = fleet in oldest and not fleet.pods
    message = f"Fleet {fleet.name} (version {fleet.version}) is older than the {keep} kept for a rollback"
    return Verdict(passed=gone, reason=Reason.HISTORY_TRIMMED, message=message)
