"""What is kept right in every round, whatever the rollout does: children as rendered, settings, sizes, marks. Pure.

Each function gives actions only for what differs from what is observed, so at rest there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import manifests, names, verbs, verifying
from inference_operator.actions import Action, AnnotatePod, Apply, Delete, write_time
from inference_operator.in_place.listing import Listing, listing, makes_way
from inference_operator.in_place.steps import FAILURE
from inference_operator.marks import gone, patch
from inference_operator.scaling import scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.observed import Fleet, Observed
    from inference_operator.roles import Scene


def upkeep(scene: Scene) -> tuple[Action, ...]:
    """In the order in which a crash between two of them does no harm: what pods need comes before the pods."""
    return (
        *_services(scene),
        *_network_policy(scene),
        *_fleet_children(scene),
        *_active_fleet(scene),
        *_pod_settings(scene),
        *_unanswered(scene),
        *_forgiven(scene),
        *_orphans(scene),
    )


def apply_if_needed(observed: Observed, manifest: dict[str, Any]) -> Iterator[Apply]:
    """Apply a manifest unless the object stands as it says."""
    child = observed.child(manifest["kind"], manifest["metadata"]["name"])
    if child is None:
        yield Apply(manifest=manifest)
    elif child.ours and not manifests.in_sync(manifest, child.content):
        yield Apply(manifest=manifest, uid=child.uid)


def fleet_settings(scene: Scene, fleet: str, revision: str, listing: Listing) -> dict[str, Any]:
    text = _settings_text(scene, listing)
    return manifests.settings(scene.observed.model, fleet=fleet, revision=revision, text=text)


def _settings_text(scene: Scene, listing: Listing) -> str:
    observed = scene.observed
    return manifests.settings_text(
        observed.model,
        scene.spec,
        listing.active,
        keys=observed.client_keys,
        versions=listing.versions,
        replicas=scene.size,
    )


def _services(scene: Scene) -> Iterator[Action]:
    model, roles = scene.observed.model, scene.roles
    shown = roles.preview or roles.active
    yield from apply_if_needed(scene.observed, manifests.active_service(model, scene.spec))
    yield from apply_if_needed(
        scene.observed, manifests.preview_service(model, shown.name if shown else None)
    )


def _network_policy(scene: Scene) -> Iterator[Action]:
    """Downloads are allowed while any running fleet may need them, as one of an earlier revision may."""
    observed = scene.observed
    if not observed.network_policies:
        known = observed.child("NetworkPolicy", names.network_policy(observed.model.name))
        if known and known.ours:
            yield Delete(kind="NetworkPolicy", name=known.name, uid=known.uid)
        return
    earlier = any(fleet.revision != scene.revision for fleet in _running(scene))
    policy = manifests.network_policy(
        observed.model,
        allow_from=scene.spec.service.allow_from,
        operator_namespace=observed.operator_namespace,
        downloads=earlier or scene.spec.needs_network,
    )
    yield from apply_if_needed(observed, policy)


def _running(scene: Scene) -> tuple[Fleet, ...]:
    """Fleets whose pods need settings and protection now."""
    roles = scene.roles
    heads = tuple(fleet for fleet in (roles.active, roles.preview) if fleet is not None)
    return (*heads, *roles.leaving)


def _fleet_children(scene: Scene) -> Iterator[Action]:
    model = scene.observed.model
    for fleet in _running(scene):
        settings = fleet_settings(scene, fleet.name, fleet.revision, listing(fleet))
        budget = manifests.disruption_budget(model, fleet=fleet.name, revision=fleet.revision)
        yield from apply_if_needed(scene.observed, settings)
        yield from apply_if_needed(scene.observed, budget)


def _active_fleet(scene: Scene) -> Iterator[Action]:
    """It has the size asked for, the mark that it was promoted, and no order to drain but to make way."""
    fleet = scene.roles.active
    if fleet is None or not scene.roles.routed:
        return
    marks: dict[str, str | None] = {}
    if fleet.promoted_at is None or (fleet.recalled_at and fleet.promoted_at < fleet.recalled_at):
        marks[names.PROMOTED_AT] = write_time(scene.observed.now)
    scaling = scale(scene)
    marks |= scaling.marks
    if not scene.recreating:
        orders = (names.DRAIN_STARTED, names.DRAINED_AT, names.RECREATE)
        marks |= {mark: None for mark in orders if mark in fleet.annotations}
    yield from scaling.pods
    if marks or scaling.replicas is not None:
        yield patch(fleet, marks, replicas=scaling.replicas)
    yield from _active_pods(scene, fleet)


def _active_pods(scene: Scene, fleet: Fleet) -> Iterator[Action]:
    drains = scene.recreating or makes_way(fleet)
    for pod in fleet.live_pods:
        if names.DRAIN in pod.annotations and names.RETIRE not in pod.annotations and not drains:
            yield AnnotatePod(pod=pod.name, uid=pod.uid, annotations={names.DRAIN: None})
        if names.DRAIN not in pod.annotations and makes_way(fleet):
            order = {names.DRAIN: write_time(scene.observed.now)}
            yield AnnotatePod(pod=pod.name, uid=pod.uid, annotations=order)


def _pod_settings(scene: Scene) -> Iterator[Action]:
    """Tell pods of new settings; the ConfigMap was applied before this."""
    for fleet in _running(scene):
        current = manifests.settings_hash(_settings_text(scene, listing(fleet)))
        for pod in fleet.live_pods:
            if pod.annotations.get(names.SETTINGS) != current:
                yield AnnotatePod(pod=pod.name, uid=pod.uid, annotations={names.SETTINGS: current})


def _unanswered(scene: Scene) -> Iterator[Action]:
    """A verification that was begun goes on after this operator was started anew."""
    active = scene.roles.active
    fleet = active if active and active.incoming else scene.roles.preview
    if fleet is None or not verifying.under_way(scene, fleet) or scene.asked.problem:
        return
    if verifying.result_of(scene, fleet) is None and not verbs.aborted(scene):
        yield verifying.verify(scene, fleet)


def _forgiven(scene: Scene) -> Iterator[Action]:
    """A failure bars only the ask that failed; once another is made, the first may be asked again.

    What failed inside a fleet that lives on is then no mark of that fleet any more. And a `retry` that was taken
    off may be put on again.
    """
    active = (scene.roles.active,) if scene.roles.active else ()
    for fleet in (*active, *scene.roles.resting, *scene.roles.leaving):
        marks: dict[str, str | None] = {}
        if names.FAILED_ASK in fleet.annotations and fleet.annotations[names.FAILED_ASK] != scene.ask:
            marks = dict.fromkeys(FAILURE if _lives_on(scene, fleet) else (names.FAILED_ASK,))
        retried = fleet.annotations.get(names.RETRIED)
        if retried is not None and retried != scene.verb(names.RETRY):
            marks[names.RETRIED] = None
        if marks:
            yield patch(fleet, gone(fleet, *marks))


def _lives_on(scene: Scene, fleet: Fleet) -> bool:
    """Its failure does not end it: it was that of a version inside it, or it is asked for anew while it serves."""
    serves = fleet is scene.roles.active and fleet.revision == scene.revision
    return names.FAILED_REVISION in fleet.annotations or serves


def _orphans(scene: Scene) -> Iterator[Action]:
    """What belongs to a fleet that is gone; and budgets of fleets that have no pods to protect.

    Not what belongs to the wanted revision while it has no fleet that is or will be active: one may be half created.
    """
    fleets = {fleet.name for fleet in scene.observed.fleets}
    running = {fleet.name for fleet in _running(scene)}
    heads = (scene.roles.active, scene.roles.preview)
    unborn = all(head is None or head.revision != scene.revision for head in heads)
    for child in scene.observed.children:
        fleet = child.labels.get(names.LABEL_FLEET, "")
        half_made = unborn and child.labels.get(names.LABEL_REVISION) == scene.revision
        if not child.ours or not fleet or half_made:
            continue
        if child.kind == "ConfigMap" and fleet not in fleets:
            yield Delete(kind="ConfigMap", name=child.name, uid=child.uid)
        if child.kind == "PodDisruptionBudget" and fleet not in running:
            yield Delete(kind="PodDisruptionBudget", name=child.name, uid=child.uid)
