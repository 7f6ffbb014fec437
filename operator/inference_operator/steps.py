"""What each step of the rollout's table does to the cluster, and the sentence that tells of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from inference_operator import manifests, names, verifying
from inference_operator.actions import (
    Action,
    AnnotatePod,
    Apply,
    Delete,
    Event,
    Flip,
    PatchFleet,
    write_time,
)
from inference_operator.gates import untold_pods
from inference_operator.in_place import steps as in_place
from inference_operator.in_place.listing import Listing, listing
from inference_operator.rollout import Step
from inference_operator.strategy import choose
from inference_operator.upkeep import apply_if_needed, fleet_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.rollout import Taken
    from inference_operator.verdicts import Verdict


def actions_of(scene: Scene, taken: Taken) -> tuple[Action, ...]:
    if taken.row.step in _ON_SCENE:
        return tuple(_ON_SCENE[taken.row.step](scene))
    if taken.fleet is None:
        return ()
    if taken.row.step in _IN_PLACE:
        return tuple(_IN_PLACE[taken.row.step](scene, taken.fleet, taken.verdict))
    return tuple(_ON_FLEET[taken.row.step](scene, taken.fleet, taken))


def event_of(scene: Scene, taken: Taken) -> Event:
    kind: Literal["Normal", "Warning"] = "Warning" if taken.row.step in _WARNINGS else "Normal"
    return Event(type=kind, reason=taken.row.reason, message=_sentence(scene, taken))


def _create(scene: Scene) -> Iterator[Action]:
    """Settings and budget first: a pod without its settings would only wait."""
    model, spec = scene.observed.model, scene.spec
    name = names.fleet(model.name, scene.revision, _taken(scene))
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


def _taken(scene: Scene) -> frozenset[str]:
    """Names under which a fleet, or a stranger's Deployment, ConfigMap or budget, stands already."""
    fleets = {fleet.name for fleet in scene.observed.fleets}
    strangers = {
        child.name.removesuffix("-settings") if child.kind == "ConfigMap" else child.name
        for child in scene.observed.children
        if not child.ours and child.kind != "Service"
    }
    return frozenset(fleets | strangers)


def _revive(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    marks: dict[str, str | None] = {mark: None for mark in _OF_A_FORMER_LIFE if mark in fleet.annotations}
    marks[names.PREPARE_STARTED] = write_time(scene.observed.now)
    if scene.condemned:
        marks[names.RECALLED] = write_time(scene.observed.now)
    else:
        marks[names.STRATEGY] = choose(scene).mark
    yield from apply_if_needed(
        scene.observed, fleet_settings(scene, fleet.name, fleet.revision, listing(fleet))
    )
    yield _patch(fleet, marks, replicas=scene.preview_size)


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


def _recall(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    """Its pods take new work again before any is sent to them."""
    now = write_time(scene.observed.now)
    yield _patch(
        fleet,
        _gone(fleet, names.DRAIN_STARTED, names.DRAINED_AT)
        | {names.RECALLED: now, names.PREPARE_STARTED: now},
    )
    for pod in fleet.live_pods:
        if names.DRAIN in pod.annotations:
            yield AnnotatePod(pod=pod.name, uid=pod.uid, annotations={names.DRAIN: None})


def _gone(fleet: Fleet, *marks: str) -> dict[str, str | None]:
    return {mark: None for mark in marks if mark in fleet.annotations}


def _verify(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    question = verifying.verify(scene, fleet)
    yield _patch(fleet, {names.VERIFYING: question.subject})
    yield question


def _await_approval(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield _patch(fleet, {names.AWAITING_SINCE: write_time(scene.observed.now)})


def _condemn(scene: Scene, fleet: Fleet, taken: Taken) -> Iterator[Action]:
    """It keeps the traffic until its predecessor takes it."""
    yield _patch(fleet, _failure(scene, taken))


def _retry(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield _patch(fleet, _gone(fleet, names.FAILED_ASK))


def _resize(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    now = write_time(scene.observed.now)
    marks = {} if fleet.prepare_started else {names.PREPARE_STARTED: now}
    yield _patch(fleet, marks, replicas=scene.preview_size)


def _promote(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield _patch(fleet, {names.PROMOTING: write_time(scene.observed.now)})
    yield from _flip(scene, fleet)


def _restore(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield from _flip(scene, fleet)


def _flip(scene: Scene, fleet: Fleet) -> Iterator[Action]:
    """The Service as observed. When it is only being created in this round, the next round flips."""
    name = names.active_service(scene.observed.model.name)
    service = scene.observed.child("Service", name)
    if service is not None:
        yield Flip(
            service=name,
            resource_version=service.resource_version,
            expect=dict(service.selector),
            selector=names.fleet_selector(scene.observed.model.name, fleet.name),
        )


def _fail(scene: Scene, fleet: Fleet, taken: Taken) -> Iterator[Action]:
    """One that was about to be promoted may have streams: it leaves as others do, and is not stopped here."""
    marks = _failure(scene, taken)
    yield _patch(fleet, marks, replicas=None if names.PROMOTING in fleet.annotations else 0)


def _failure(scene: Scene, taken: Taken) -> dict[str, str | None]:
    marks: dict[str, str | None] = {
        names.FAILED: f"{taken.verdict.reason}: {taken.verdict.message}"[:1024],
        names.FAILED_AT: write_time(scene.observed.now),
        names.FAILED_ASK: scene.ask,
    }
    if used := scene.verb(names.RETRY):
        marks[names.RETRIED] = used
    return marks


def _order_drain(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    now = write_time(scene.observed.now)
    yield _patch(fleet, _gone(fleet, names.RECALLED) | {names.DRAIN_STARTED: now})
    yield from _tell_pods(scene, fleet, _taken)


def _tell_pods(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    order = {names.DRAIN: write_time(scene.observed.now)}
    for pod in untold_pods(fleet):
        yield AnnotatePod(pod=pod.name, uid=pod.uid, annotations=order)


def _stop(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield _patch(fleet, {}, replicas=0)


def _mark_drained(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield _patch(fleet, {names.DRAINED_AT: write_time(scene.observed.now)})


def _unmark_drained(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield _patch(fleet, {names.DRAINED_AT: None})


def _forget(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield Delete(kind="Deployment", name=fleet.name, uid=fleet.uid)


def _patch(fleet: Fleet, marks: Mapping[str, str | None], *, replicas: int | None = None) -> PatchFleet:
    return PatchFleet(
        fleet=fleet.name,
        uid=fleet.uid,
        resource_version=fleet.resource_version,
        replicas=replicas,
        annotations=marks,
    )


def _recreate(scene: Scene) -> Iterator[Action]:
    """The active fleet drains and stops first; it keeps the traffic until the next has pods to take it."""
    if fleet := scene.roles.active:
        now = write_time(scene.observed.now)
        yield _patch(fleet, {names.RECREATE: scene.revision, names.DRAIN_STARTED: now})


_ON_SCENE: dict[Step, Callable[[Scene], Iterator[Action]]] = {
    Step.CREATE: _create,
    Step.LOAD: in_place.load,
    Step.RECREATE: _recreate,
}
"""Steps that no fleet of the wanted revision stands for yet."""

_IN_PLACE: dict[Step, Callable[[Scene, Fleet, Verdict], Iterator[Action]]] = {
    Step.SWITCH_BACK: in_place.switch_back,
    Step.UNLOAD: in_place.unload,
    Step.VERIFY_INCOMING: in_place.verify,
    Step.SWITCH: in_place.switch,
    Step.MAKE_WAY: in_place.make_way,
    Step.LOAD_ALONE: in_place.load_alone,
    Step.GIVE_UP: in_place.give_up,
    Step.DRAIN_VERSION: in_place.drain_version,
    Step.DROP_DRAINED: in_place.drop,
    Step.DROP_OVERDUE: in_place.drop,
    Step.MARK_IDLE: in_place.mark_idle,
    Step.UNMARK_IDLE: in_place.unmark_idle,
}

_ON_FLEET: dict[Step, Callable[[Scene, Fleet, Taken], Iterator[Action]]] = {
    Step.RESTORE: _restore,
    Step.CONDEMN: _condemn,
    Step.ROLL_BACK: _condemn,
    Step.RETRY: _retry,
    Step.RECALL: _recall,
    Step.ABORT: _fail,
    Step.VERIFY: _verify,
    Step.REJECT: _fail,
    Step.AWAIT_APPROVAL: _await_approval,
    Step.STOP_SUPERSEDED: _stop,
    Step.REVIVE: _revive,
    Step.RESIZE: _resize,
    Step.PROMOTE: _promote,
    Step.FAIL: _fail,
    Step.ORDER_DRAIN: _order_drain,
    Step.TELL_PODS: _tell_pods,
    Step.STOP_DRAINED: _stop,
    Step.STOP_OVERDUE: _stop,
    Step.MARK_DRAINED: _mark_drained,
    Step.UNMARK_DRAINED: _unmark_drained,
    Step.FORGET: _forget,
}

_WARNINGS = {
    *(Step.RESTORE, Step.FAIL, Step.STOP_OVERDUE, Step.RECREATE),
    *(Step.MAKE_WAY, Step.GIVE_UP, Step.DROP_OVERDUE),
    *(Step.CONDEMN, Step.ROLL_BACK, Step.ABORT, Step.REJECT),
}


def _sentence(scene: Scene, taken: Taken) -> str:
    verdict, fleet = taken.verdict.message, taken.fleet
    doing = {
        Step.RESTORE: "traffic is sent to it again",
        Step.CONDEMN: f"Traffic goes back to {_previous(scene)}; edit the spec or annotate retry to try again",
        Step.ROLL_BACK: "it counts as failed now",
        Step.RETRY: "a fresh fleet is made for it",
        Step.RECALL: "its order to drain is taken back",
        Step.ABORT: "it is stopped, and what served before goes on",
        Step.VERIFY: "no traffic moves before that",
        Step.REJECT: "It is stopped; what served before goes on. Edit the spec or annotate retry to try again",
        Step.AWAIT_APPROVAL: f"to move the traffic: {verifying.order_to_approve(scene)}",
        Step.STOP_SUPERSEDED: "it is stopped",
        Step.REVIVE: f"it is started again with replicas: {scene.preview_size}",
        Step.CREATE: f"one is created with replicas: {scene.preview_size}",
        Step.RESIZE: "it is resized",
        Step.PROMOTE: f"traffic moves to fleet {fleet.name if fleet else ''}",
        Step.FAIL: "It is stopped; what served before goes on. Edit the spec to try again",
        Step.ORDER_DRAIN: f"fleet {fleet.name if fleet else ''} is told to finish its streams and take no more",
        Step.TELL_PODS: "they get it now",
        Step.STOP_DRAINED: "it is stopped",
        Step.STOP_OVERDUE: "it is stopped now",
        Step.MARK_DRAINED: "it is stopped if the next look finds none either",
        Step.UNMARK_DRAINED: "it is not idle after all and goes on draining",
        Step.FORGET: "it is deleted",
        Step.SWITCH_BACK: "it gets new work again as soon as every pod says that it is ready",
        Step.UNLOAD: "it is unloaded",
        Step.VERIFY_INCOMING: "it gets no work before that",
        Step.SWITCH: "new work goes to it, and streams end on the version that they began with",
        Step.MAKE_WAY: "its streams have their time to end",
        Step.LOAD_ALONE: f"version {scene.spec.model.version} is loaded in its place",
        Step.GIVE_UP: "The pods hold the old version alone again and go on serving it. Edit the spec to try again",
        Step.DRAIN_VERSION: "what runs on the old one has its time to end",
        Step.DROP_DRAINED: "it is unloaded",
        Step.DROP_OVERDUE: "it is unloaded now",
        Step.MARK_IDLE: "it is unloaded if the next look finds none either",
        Step.UNMARK_IDLE: "it is not idle after all",
        Step.LOAD: "it is loaded beside the version that serves",
        Step.RECREATE: "the pods are told to finish their streams",
    }[taken.row.step]
    end = " " if verdict.endswith(".") else ". " if doing[0].isupper() else "; "
    return f"{verdict}{end}{doing}."


def _previous(scene: Scene) -> str:
    return f"version {scene.previous.version}" if scene.previous else "no other version"
