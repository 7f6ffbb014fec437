"""Steps that bring a fleet up, or back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import manifests, names
from inference_operator.actions import AnnotatePod, Apply, write_time
from inference_operator.in_place.listing import Listing, listing
from inference_operator.marks import gone, patch
from inference_operator.strategy import choose
from inference_operator.upkeep import apply_if_needed, fleet_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.actions import Action
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.rollout import Taken


def create(scene: Scene) -> Iterator[Action]:
    """Settings and budget first: a pod without its settings would only wait."""
    model, spec = scene.observed.model, scene.spec
    name = names.fleet(model.name, scene.revision, _names_taken(scene))
    listing = Listing(spec.model.version)
    budget = manifests.disruption_budget(model, fleet=name, revision=scene.revision)
    yield from apply_if_needed(scene.observed, fleet_settings(scene, name, scene.revision, listing))
    yield from apply_if_needed(scene.observed, budget)
    yield Apply(
        manifest=manifests.deployment(
            model,
            spec,
            fleet=name,
            revision=scene.revision,
            replicas=scene.preview_size,
            default_image=scene.observed.default_image,
            prepare_started=write_time(scene.observed.now),
            strategy=choose(scene).mark,
        )
    )


def _names_taken(scene: Scene) -> frozenset[str]:
    """Names under which a fleet, or a stranger's Deployment, ConfigMap or budget, stands already."""
    fleets = {fleet.name for fleet in scene.observed.fleets}
    strangers = {
        child.name.removesuffix("-settings") if child.kind == "ConfigMap" else child.name
        for child in scene.observed.children
        if not child.ours and child.kind != "Service"
    }
    return frozenset(fleets | strangers)


def revive(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    marks: dict[str, str | None] = {mark: None for mark in _OF_A_FORMER_LIFE if mark in fleet.annotations}
    marks[names.PREPARE_STARTED] = write_time(scene.observed.now)
    if scene.condemned:
        marks[names.RECALLED] = write_time(scene.observed.now)
    else:
        marks[names.STRATEGY] = choose(scene).mark
    yield from apply_if_needed(
        scene.observed, fleet_settings(scene, fleet.name, fleet.revision, listing(fleet))
    )
    yield patch(fleet, marks, replicas=scene.preview_size)


_OF_A_FORMER_LIFE = (
    names.PROMOTING,
    names.PROMOTED_AT,
    names.DRAIN_STARTED,
    names.DRAINED_AT,
    names.RECALLED,
    names.AWAITING_SINCE,
    names.VERIFYING,
    names.VERIFICATION,
    names.RECREATE,
    names.INCOMING,
    names.OUTGOING,
)


def recall(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    """Its pods take new work again before any is sent to them."""
    now = write_time(scene.observed.now)
    yield patch(
        fleet,
        gone(fleet, names.DRAIN_STARTED, names.DRAINED_AT)
        | {names.RECALLED: now, names.PREPARE_STARTED: now},
    )
    for pod in fleet.live_pods:
        if names.DRAIN in pod.annotations:
            yield AnnotatePod(pod=pod.name, uid=pod.uid, annotations={names.DRAIN: None})


def resize(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    now = write_time(scene.observed.now)
    marks = {} if fleet.prepare_started else {names.PREPARE_STARTED: now}
    yield patch(fleet, marks, replicas=scene.preview_size)


def recreate(scene: Scene) -> Iterator[Action]:
    """The active fleet drains and stops first; it keeps the traffic until the next has pods to take it."""
    if fleet := scene.roles.active:
        now = write_time(scene.observed.now)
        yield patch(fleet, {names.RECREATE: scene.revision, names.DRAIN_STARTED: now})
