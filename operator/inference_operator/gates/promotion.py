"""All that must hold before traffic moves, and what is said while it does not. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.diagnosis import diagnose
from inference_operator.gates.readiness import (
    accepting,
    model_loaded,
    pods_ready,
    preview_routes,
    service_stands,
)
from inference_operator.reasons import Reason
from inference_operator.verdicts import Gate, Verdict, count
from inference_operator.verifying import approved, under_way, verified

if TYPE_CHECKING:
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene


READY: tuple[Gate, ...] = (pods_ready, model_loaded, preview_routes, service_stands)
PROMOTION: tuple[Gate, ...] = (*READY, verified, approved)
"""What must hold before traffic moves, in the order in which they come to hold."""
RETURN: tuple[Gate, ...] = (*READY, accepting)
"""The same for a fleet that had the traffic before: it has shown what it can do."""


def gates_of(fleet: Fleet) -> tuple[Gate, ...]:
    return RETURN if names.RECALLED in fleet.annotations else PROMOTION


def first_unmet(scene: Scene, fleet: Fleet) -> Gate | None:
    """The gate that the fleet waits for; None when all hold."""
    return next((gate for gate in gates_of(fleet) if not gate(scene, fleet).passed), None)


def promotable(scene: Scene, fleet: Fleet) -> Verdict:
    """All gates of a promotion hold; else the first that does not."""
    if unmet := first_unmet(scene, fleet):
        return unmet(scene, fleet)
    message = f"Version {fleet.version} is ready on {count(fleet.replicas, 'pod')}"
    proof = verified(scene, fleet)
    if proof.reason is Reason.VERIFIED and gates_of(fleet) is PROMOTION:
        message += f": {proof.message}"
    return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)


def unverified(scene: Scene, fleet: Fleet) -> Verdict:
    """All is ready for the golden prompts, and these very pods have not been asked."""
    ready = first_unmet(scene, fleet) is verified and not scene.asked.problem
    verdict = verified(scene, fleet)
    return Verdict(
        passed=ready and not under_way(scene, fleet),
        reason=Reason.VERIFICATION_STARTED,
        message=verdict.message,
    )


def needs_approval(scene: Scene, fleet: Fleet) -> Verdict:
    """Nothing but a person's word is missing, and nobody wrote down since when."""
    passed = first_unmet(scene, fleet) is approved and fleet.awaiting_since is None
    message = f"Version {fleet.version} is ready on {count(fleet.replicas, 'pod')}, and spec.rollout.autoPromotion is false"
    return Verdict(passed=passed, reason=Reason.APPROVAL_NEEDED, message=message)


def deadline_passed(scene: Scene, fleet: Fleet) -> Verdict:
    """The preview has had its time. The reason is what its pods suffer from, where that is known."""
    seconds = scene.spec.rollout.progress_deadline_seconds
    began = fleet.prepare_started or scene.observed.now
    finding = diagnose(fleet)
    why = finding.message if finding else promotable(scene, fleet).message
    return Verdict(
        passed=scene.observed.now >= began + timedelta(seconds=seconds),
        reason=finding.reason if finding else Reason.DEADLINE_EXCEEDED,
        message=f"Version {fleet.version} was not ready within {seconds} s. {why}",
    )
