"""The whole status. Optional parts are left out when empty, so it must be written whole (PUT), never merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator.actions import write_time
from inference_operator.gates import drain_deadline
from inference_operator.keeping import at_rest
from inference_operator.reasons import Condition
from inference_operator.status import begun, blocks, conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inference_operator.observed import Observed
    from inference_operator.reasons import Phase
    from inference_operator.roles import Roles, Scene
    from inference_operator.status.conditions import Claim, Refusal

MESSAGE_LENGTH = 2048


def scene_status(scene: Scene, phase: Phase) -> dict[str, Any]:
    claims = conditions.of_scene(scene, phase)
    status = _common(scene.observed, scene.roles, phase, claims)
    if not scene.arrived:
        status["target"] = blocks.target(scene, phase)
    leaving = [fleet for fleet in scene.roles.leaving if not at_rest(scene, fleet)]
    draining = [blocks.draining(fleet, drain_deadline(scene, fleet)) for fleet in leaving]
    if inside := begun.draining(scene):
        draining.append(inside)
    if draining:
        status["draining"] = draining[: blocks.DRAINING_LENGTH]
    if previous := blocks.previous(scene):
        status["previous"] = previous
    if orders := blocks.orders(scene):
        status["orders"] = orders
    return status


def refused_status(observed: Observed, roles: Roles, refusal: Refusal) -> dict[str, Any]:
    """Of a spec that is not acted on."""
    claims = conditions.of_refusal(observed, roles, refusal)
    status = _common(observed, roles, refusal.phase, claims)
    if observed.model.route_noted:
        # The HTTPRoute stays as it is, and only this tells of it.
        status["conditions"].append(dict(_previous(observed.model.status, Condition.ROUTE_ACCEPTED)))
    if roles.leaving:
        status["draining"] = [
            blocks.draining(fleet, None) for fleet in roles.leaving[: blocks.DRAINING_LENGTH]
        ]
    return status


def _common(observed: Observed, roles: Roles, phase: Phase, claims: Iterable[Claim]) -> dict[str, Any]:
    status: dict[str, Any] = {
        "observedGeneration": observed.model.generation,
        "phase": str(phase),
        "conditions": [_condition(observed, claim) for claim in claims],
        "replicas": len(roles.active.live_pods) if roles.active else 0,
        "url": blocks.url(observed),
    }
    if roles.active:
        status["active"] = blocks.active(roles.active)
        status["selector"] = blocks.selector(observed, roles.active)
    if roles.resting:
        status["history"] = blocks.history(roles)
    return status


def _condition(observed: Observed, claim: Claim) -> dict[str, Any]:
    """The time is that of the last change of `status`, not of the words."""
    value = "Unknown" if claim.holds is None else str(claim.holds)
    before = _previous(observed.model.status, claim.type)
    same = before.get("status") == value and "lastTransitionTime" in before
    return {
        "type": str(claim.type),
        "status": value,
        "reason": str(claim.reason),
        "message": claim.message[:MESSAGE_LENGTH],
        "observedGeneration": observed.model.generation,
        "lastTransitionTime": before["lastTransitionTime"] if same else write_time(observed.now),
    }


def _previous(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = (condition for condition in status.get("conditions") or () if condition.get("type") == kind)
    return next(found, {})
