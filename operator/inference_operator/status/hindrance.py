"""What the status says when the API server refused something that the plan asked for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator.actions import write_time
from inference_operator.reasons import Condition, Reason
from inference_operator.status.report import MESSAGE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_operator.observed import Observed


def hindered(status: Mapping[str, Any], observed: Observed, said: str) -> dict[str, Any]:
    """The status as planned, but Degraded; a rollout that is under way, and a Ready that waits for it, say why."""
    told = _refused(f"The API server refused what this model needs: {said}")
    conditions = []
    for condition in status["conditions"]:
        match condition["type"], condition["status"]:
            case Condition.DEGRADED, _:
                conditions.append(condition | told | _since(observed, Condition.DEGRADED, "True"))
            case (Condition.READY, "False") | (Condition.PROGRESSING, "True"):
                conditions.append(condition | told)
            case _:
                conditions.append(condition)
    return {**status, "conditions": conditions}


def unrouted(status: Mapping[str, Any], observed: Observed, said: str) -> dict[str, Any]:
    """The status as planned, but RouteAccepted is False and says why; all else is as it would be without a route."""
    told = _refused(f"The HTTPRoute could not be brought to what is asked for: {said}")
    told |= _since(observed, Condition.ROUTE_ACCEPTED, "False")
    conditions = [
        condition | told if condition["type"] == Condition.ROUTE_ACCEPTED else condition
        for condition in status["conditions"]
    ]
    return {**status, "conditions": conditions}


def _refused(message: str) -> dict[str, str]:
    return {"reason": str(Reason.REFUSED), "message": message[:MESSAGE_LENGTH]}


def _since(observed: Observed, kind: Condition, value: str) -> dict[str, str]:
    """That a condition has this value, and when it began to."""
    for condition in observed.model.status.get("conditions") or ():
        if condition["type"] == kind and condition["status"] == value:
            return {"status": value, "lastTransitionTime": condition["lastTransitionTime"]}
    return {"status": value, "lastTransitionTime": write_time(observed.now)}
