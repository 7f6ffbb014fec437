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
    message = f"The API server refused what this model needs: {said}"[:MESSAGE_LENGTH]
    told = {"reason": str(Reason.REFUSED), "message": message}
    conditions = []
    for condition in status["conditions"]:
        match condition["type"], condition["status"]:
            case Condition.DEGRADED, _:
                conditions.append(condition | told | {"status": "True"} | _since(observed))
            case (Condition.READY, "False") | (Condition.PROGRESSING, "True"):
                conditions.append(condition | told)
            case _:
                conditions.append(condition)
    return {**status, "conditions": conditions}


def _since(observed: Observed) -> dict[str, str]:
    """When Degraded began to hold."""
    for condition in observed.model.status.get("conditions") or ():
        if condition["type"] == Condition.DEGRADED and condition["status"] == "True":
            return {"lastTransitionTime": condition["lastTransitionTime"]}
    return {"lastTransitionTime": write_time(observed.now)}
