"""When to look again though no event came: what no watch would tell of. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import keeping, routing, scaling
from inference_operator.reasons import Phase
from inference_operator.strategy import choose

if TYPE_CHECKING:
    from inference_operator.roles import Scene

AFTER_A_STEP = 1.0
DRAINING = 1.0
"""Pods tell of their streams when asked, and in no other way."""
PREPARING = 2.0
WAITING_FOR_ROOM = 15.0
"""Nodes and the pods of other namespaces are not watched: that would cost every model at rest."""
WAITING = 10.0
"""For a person, or until a fleet that is kept warm may go: what happens meanwhile comes as an event."""
SPREADING = 2.0
SILENT = 10.0
"""A pod that does not answer is asked less often."""
KEYS = 30.0
"""Secrets of clients are not watched, for that would need the right to list every Secret."""
GATEWAY = 5.0
"""HTTPRoutes are not watched, for a cluster may have no such kind: this is for one that its gateways are to answer."""
NO_ROUTE = 30.0
ROUTE = 300.0
"""One that is accepted; by hand or by its gateway it may change."""


def recheck_after(scene: Scene, phase: Phase, *, stepped: bool) -> float | None:
    """Seconds; None when only an event can change anything."""
    if stepped:
        return AFTER_A_STEP
    return _soonest(_rollout(scene, phase), scaling.recheck(scene), _route(scene))


def _rollout(scene: Scene, phase: Phase) -> float | None:
    draining = any(not keeping.at_rest(scene, fleet) for fleet in scene.roles.leaving)
    if draining or scene.recreating or phase is Phase.DRAINING:
        return DRAINING
    if phase is Phase.PENDING and not scene.arrived and choose(scene).strategy is None:
        return WAITING_FOR_ROOM
    if phase in _MOVING:
        return PREPARING
    if phase in {Phase.AWAITING_APPROVAL, Phase.PAUSED} or scene.roles.leaving:
        return WAITING
    return _soonest(_settings(scene), KEYS if scene.spec.clients else None)


_MOVING = {
    Phase.PREPARING,
    Phase.VERIFYING,
    Phase.PROMOTING,
    Phase.ANALYZING,
    Phase.ROLLING_BACK,
    Phase.PENDING,
}


def _soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


def _route(scene: Scene) -> float | None:
    found = routing.standing(scene)
    if found is None:
        return None
    if not scene.observed.model.route_noted:
        return AFTER_A_STEP
    return GATEWAY if found.holds is None else ROUTE if found.holds else NO_ROUTE


def _settings(scene: Scene) -> float | None:
    """Until every pod of the active fleet says that it runs the settings of this generation."""
    pods = scene.roles.active.live_pods if scene.roles.active else ()
    generation = scene.observed.model.generation
    reports = [pod.report for pod in pods]
    if any(report and report.settings_generation < generation for report in reports):
        return SPREADING
    return SILENT if None in reports else None
