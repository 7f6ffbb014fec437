"""Where the active Service leads. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.gates.readiness import service_stands
from inference_operator.reasons import Reason
from inference_operator.verdicts import Verdict

if TYPE_CHECKING:
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene


def traffic_lost(scene: Scene, fleet: Fleet) -> Verdict:
    """The active Service selects no fleet of ours, and this one had the traffic last."""
    message = f"Service {names.active_service(scene.observed.model.name)} selects no fleet; {fleet.name} was the last to be promoted"
    lost = service_stands(scene, fleet).passed and not scene.roles.routed
    fit = fleet.promoted_at is not None or bool(fleet.ready_pods)  # the flip to it may not have been done
    return Verdict(passed=lost and fit, reason=Reason.TRAFFIC_RESTORED, message=message)


def endpoints_verified(scene: Scene, _fleet: Fleet) -> Verdict:
    """The active Service's ready endpoints are pods of the active fleet and no others.

    And at least one, unless none is wanted.
    """
    service = names.active_service(scene.observed.model.name)
    active = scene.roles.active
    listed = scene.observed.ready_endpoints(service)
    ours = {pod.uid for pod in active.live_pods} if active and scene.roles.routed else set()
    served = bool(listed) or (scene.roles.routed and scene.spec.replicas == 0)
    message = f"{len(listed & ours)} of {len(listed)} ready endpoints of Service {service} are pods of the active fleet"
    return Verdict(passed=served and listed <= ours, reason=Reason.WAITING_FOR_ENDPOINTS, message=message)
