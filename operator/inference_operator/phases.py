"""Which fleets stand where on their way, and the one word for the whole. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import judging, keeping, names, verbs, verifying
from inference_operator.reasons import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene


def active(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.roles.active:
        yield Phase.READY, scene.roles.active


def judged(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.roles.active:
        yield (Phase.ANALYZING if judging.on_trial(scene) else Phase.READY), scene.roles.active


def failed(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.failure:
        yield Phase.FAILED, scene.failure


def superseded(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    return ((Phase.PREPARING, fleet) for fleet in scene.roles.superseded)


def in_place(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    fleet = scene.roles.active
    if fleet and fleet.incoming:
        if verbs.aborted(scene) or not verbs.paused(scene):
            yield Phase.PREPARING, fleet
    elif fleet and fleet.outgoing:
        yield Phase.PROMOTING, fleet
        if fleet.outgoing.drain_started:
            yield Phase.DRAINING, fleet


def wanted(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
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


def leaving(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    if scene.recreating and scene.roles.active and scene.roles.active.replicas:
        yield Phase.DRAINING, scene.roles.active
    for fleet in scene.roles.leaving:
        yield (Phase.PROMOTING if fleet.drain_started is None else Phase.DRAINING), fleet


def resting(scene: Scene) -> Iterator[tuple[Phase, Fleet | None]]:
    return ((Phase.READY, fleet) for fleet in scene.roles.resting)


def preview_phase(scene: Scene, fleet: Fleet) -> Phase:
    """How far the fleet is that is being prepared. One that had the traffic before is asked nothing."""
    if names.RECALLED in fleet.annotations or fleet.promoted_at:
        return Phase.ROLLING_BACK
    if fleet.awaiting_since:
        return Phase.AWAITING_APPROVAL
    return Phase.VERIFYING if verifying.under_way(scene, fleet) else Phase.PREPARING


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
    swapping = [phase for phase, _ in in_place(scene)]
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
