"""The model's HTTPRoute: what is to be done to it, and what stands of it. No step of a rollout looks here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from inference_operator import manifests, names
from inference_operator.actions import Apply, Delete
from inference_operator.reasons import Reason
from inference_operator.upkeep import apply_if_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from inference_operator.observed import Child, Obstacle
    from inference_operator.roles import Scene
    from inference_operator.spec.live import HttpRoute, Parent

KIND: Final = "HTTPRoute"
_PROBLEMS = {"Accepted": "does not accept it", "ResolvedRefs": "cannot resolve what it names"}
"""Conditions of a gateway, and what it means when one is False."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    holds: bool | None
    """Every gateway accepts it; None: not known yet."""
    reason: str
    """Ours, or a gateway's own word."""
    message: str


def change(scene: Scene) -> Apply | Delete | None:
    """What is to be done to it now.

    It is not made before the status tells of it: by that a later round, whose spec may ask for none, knows to look.
    """
    observed, asked, known = scene.observed, scene.spec.service.http_route, _known(scene)
    if asked is None:
        return Delete(kind=KIND, name=known.name, uid=known.uid) if known and known.ours else None
    if observed.route_obstacle or not observed.model.route_noted:
        return None
    return next(apply_if_needed(observed, manifests.http_route(observed.model, asked)), None)


def standing(scene: Scene) -> Standing | None:
    """None of a model that neither asks for a route nor has one."""
    asked, known, obstacle = scene.spec.service.http_route, _known(scene), scene.observed.route_obstacle
    if asked is None:
        return _unwanted(scene, known, obstacle)
    route = _called(scene)
    if obstacle:
        return _blocked(obstacle, f"{route} is not kept: {obstacle.message}. All else of this model goes on.")
    if known and not known.ours:
        message = f"{route} exists and does not belong to this model, so it is left alone. Delete it, or rename this model."
        return Standing(holds=False, reason=Reason.CONFLICT, message=message)
    if known is None or change(scene):
        message = f"{route} is not yet as asked for."
        return Standing(holds=None, reason=Reason.WAITING_FOR_GATEWAY, message=message)
    return _heard(scene, asked, known)


def _unwanted(scene: Scene, known: Child | None, obstacle: Obstacle | None) -> Standing | None:
    if obstacle and obstacle.reason is not Reason.GATEWAY_API_MISSING:
        message = f"{_called(scene)} is not asked for any more, and may still be there: {obstacle.message}."
        return _blocked(obstacle, message)
    if known and known.ours:
        message = f"{_called(scene)} is not asked for any more and is to be deleted."
        return Standing(holds=None, reason=Reason.ROUTE_UNWANTED, message=message)
    return None


def _blocked(obstacle: Obstacle, message: str) -> Standing:
    holds = None if obstacle.reason is Reason.ROUTE_UNREADABLE else False
    return Standing(holds=holds, reason=obstacle.reason, message=message)


def _heard(scene: Scene, asked: HttpRoute, known: Child) -> Standing:
    """What its gateways say: one refusal outweighs everything, one that is silent all that accept."""
    refusals, silent = [], []
    for parent in asked.parent_refs:
        said = list(_said(scene, parent, known))
        refusals += [(parent, condition) for condition in said if condition["status"] == "False"]
        if not any((each["type"], each["status"]) == ("Accepted", "True") for each in said):
            silent.append(parent)
    route = _called(scene)
    if refusals:
        told = "; ".join(_refusal(parent, condition) for parent, condition in refusals)
        return Standing(holds=False, reason=refusals[0][1]["reason"], message=f"{route}: {told}.")
    if silent:
        message = (
            f"{route} waits for an answer of {_listed(silent)}. "
            "Where none comes: is there a Gateway of that name, and does its controller run?"
        )
        return Standing(holds=None, reason=Reason.WAITING_FOR_GATEWAY, message=message)
    message = f"{route} is accepted by {_listed(asked.parent_refs)}."
    return Standing(holds=True, reason=Reason.ROUTE_ACCEPTED, message=message)


def _said(scene: Scene, parent: Parent, known: Child) -> Iterator[Mapping[str, Any]]:
    """The conditions that count, of all controllers that speak for this parent; not those about an older route."""
    generation = known.content["metadata"].get("generation", 0)
    for answer in known.content.get("status", {}).get("parents") or ():
        if not _means(scene, parent, answer["parentRef"]):
            continue
        for condition in answer.get("conditions") or ():
            if (
                condition["type"] in _PROBLEMS
                and condition.get("observedGeneration", generation) >= generation
            ):
                yield condition


def _means(scene: Scene, parent: Parent, reference: Mapping[str, Any]) -> bool:
    own = scene.observed.model.namespace
    here = (parent.name, parent.namespace or own, parent.section_name, parent.port)
    fields = (reference.get(name) for name in ("sectionName", "port"))
    return here == (reference["name"], reference.get("namespace") or own, *fields)


def _refusal(parent: Parent, condition: Mapping[str, Any]) -> str:
    said = condition.get("message") or condition["reason"]
    return f"{_listed([parent])} {_PROBLEMS[condition['type']]}: {said.rstrip('. ')}"


def _listed(parents: Iterable[Parent]) -> str:
    return ", ".join(f"Gateway {_place(parent)}" for parent in parents)


def _place(parent: Parent) -> str:
    place = f"{parent.namespace}/{parent.name}" if parent.namespace else parent.name
    place += f" section {parent.section_name}" if parent.section_name else ""
    return place + (f" port {parent.port}" if parent.port else "")


def _known(scene: Scene) -> Child | None:
    return scene.observed.child(KIND, names.http_route(scene.observed.model.name))


def _called(scene: Scene) -> str:
    return f"{KIND} {names.http_route(scene.observed.model.name)}"
