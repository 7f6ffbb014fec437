"""The decision: from one observation to what is done, reported and looked at again. Pure.

Level-triggered and without memory: every round starts from what is there. A round takes at most one step of the
rollout, and besides keeps right whatever is found wrong; killed between any two actions, the next round goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names, rollout
from inference_operator.actions import Event, Plan
from inference_operator.errors import InvalidSpec
from inference_operator.reasons import Condition, Phase, Reason
from inference_operator.roles import cast_roles, set_scene
from inference_operator.scaling import scale
from inference_operator.spec import parse, revision, unsupported
from inference_operator.status import refused_status, scene_status
from inference_operator.status.conditions import Refusal
from inference_operator.steps import actions_of, event_of
from inference_operator.timing import recheck_after
from inference_operator.upkeep import upkeep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_operator.observed import Observed
    from inference_operator.roles import Roles, Scene
    from inference_operator.spec import Spec


CONFLICT_RECHECK = 30.0
"""Seconds; nobody tells us when a stranger's object goes away."""


def plan(observed: Observed) -> Plan:
    """What to do now. Deterministic: the time is in the observation."""
    if observed.model.deleting:
        return Plan(status=None)
    try:
        spec = read_spec(observed)
    except InvalidSpec as error:
        return _refuse(observed, None, Refusal(Phase.INVALID, Reason.INVALID_SPEC, f"{error}."))
    scene = set_scene(observed, spec)
    if strangers := _strangers(observed, scene.roles):
        return _refuse(observed, scene, _conflict(strangers))
    if paths := unsupported(spec, observed.model.annotations):
        return _hold(scene, _unsupported(paths))
    if scene.spec.clients and observed.secrets_refused:
        return _hold(scene, _forbidden(observed.secrets_refused))
    return _proceed(scene)


def read_spec(observed: Observed) -> Spec:
    """The spec in types, held against what the types cannot say. Raises InvalidSpec."""
    names.check_model_name(observed.model.name)
    spec = parse(observed.model.spec)
    if not spec.server.image and not observed.default_image:
        raise InvalidSpec(
            "spec.server.image", "is empty, and this operator was started without --default-image"
        )
    return spec


def wanted_revision(observed: Observed) -> str | None:
    """The revision asked for; None when the spec makes no sense."""
    try:
        return revision(read_spec(observed))
    except InvalidSpec:
        return None


def _proceed(scene: Scene) -> Plan:
    phase = rollout.phase_of(scene)
    taken = rollout.next_step(scene)
    steps = actions_of(scene, taken) if taken else ()
    status = scene_status(scene, phase)
    told = (event_of(scene, taken),) if taken else ()
    return Plan(
        status=status,
        actions=(*upkeep(scene), *steps),
        events=(*told, *scale(scene).events, *_warnings(scene.observed.model.status, status)),
        recheck_after=recheck_after(scene, phase, stepped=taken is not None),
        step=taken.row.step if taken else "",
    )


def _hold(scene: Scene, refusal: Refusal) -> Plan:
    """Begin nothing; what drains goes on draining."""
    taken = rollout.next_step(scene, rollout.HELD)
    status = refused_status(scene.observed, scene.roles, refusal)
    told = (event_of(scene, taken),) if taken else ()
    return Plan(
        status=status,
        actions=actions_of(scene, taken) if taken else (),
        events=(*told, *_warnings(scene.observed.model.status, status)),
        recheck_after=1.0 if scene.roles.leaving else None,
        step=taken.row.step if taken else "",
    )


def _refuse(observed: Observed, scene: Scene | None, refusal: Refusal) -> Plan:
    """Touch nothing at all."""
    roles = scene.roles if scene else cast_roles(observed, None)
    status = refused_status(observed, roles, refusal)
    return Plan(
        status=status,
        events=tuple(_warnings(observed.model.status, status)),
        recheck_after=CONFLICT_RECHECK if refusal.phase is Phase.CONFLICT else None,
    )


def _strangers(observed: Observed, roles: Roles) -> tuple[str, ...]:
    """What stands under names that we cannot do without and is not ours. Fleets just take another name."""
    model = observed.model.name
    wanted = {("Service", names.active_service(model)), ("Service", names.preview_service(model))}
    if observed.network_policies:
        wanted.add(("NetworkPolicy", names.network_policy(model)))
    for fleet in (roles.active, roles.preview, *roles.leaving):
        if fleet is not None:
            wanted |= {
                ("ConfigMap", names.settings(fleet.name)),
                ("PodDisruptionBudget", names.disruption_budget(fleet.name)),
            }
    return tuple(
        f"{child.kind} {child.name}"
        for child in observed.children
        if not child.ours and (child.kind, child.name) in wanted
    )


def _conflict(strangers: tuple[str, ...]) -> Refusal:
    message = (
        f"{', '.join(strangers)} exists and does not belong to this model, so nothing is changed. "
        "Rename this model, or delete what is in its way."
    )
    return Refusal(Phase.CONFLICT, Reason.CONFLICT, message)


def _unsupported(paths: tuple[str, ...]) -> Refusal:
    message = (
        f"This operator does not act on {', '.join(paths)} yet, so this spec is not applied; "
        "what serves goes on serving as it is. Take the fields out."
    )
    return Refusal(Phase.INVALID, Reason.UNSUPPORTED_FIELD, message)


def _forbidden(why: str) -> Refusal:
    message = f"spec.clients cannot be acted on: {why}. This spec is not applied; what serves goes on serving as it is."
    return Refusal(Phase.INVALID, Reason.SECRETS_FORBIDDEN, message)


_ALARMING = {
    Reason.INVALID_SPEC,
    Reason.UNSUPPORTED_FIELD,
    Reason.SECRETS_FORBIDDEN,
    Reason.CLIENT_KEY_MISSING,
    Reason.CONFLICT,
    Reason.IMAGE_PULL_FAILED,
    Reason.CRASH_LOOPING,
    Reason.CONTAINER_CONFIG_ERROR,
    Reason.OUT_OF_MEMORY,
    Reason.UNSCHEDULABLE,
    Reason.QUOTA_EXCEEDED,
    Reason.LOAD_FAILED,
    Reason.SETTINGS_REJECTED,
    Reason.NO_READY_ENDPOINTS,
}


def _warnings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    """A Warning when a condition comes to have a reason that a person should hear of; once, not each round."""
    old = {each.get("type"): each.get("reason") for each in before.get("conditions") or ()}
    heard = set()
    for condition in after["conditions"]:
        reason = condition["reason"]
        watched = condition["type"] in {Condition.PROGRESSING, Condition.DEGRADED, Condition.AVAILABLE}
        if watched and reason in _ALARMING and reason != old.get(condition["type"]) and reason not in heard:
            heard.add(reason)
            yield Event(type="Warning", reason=reason, message=condition["message"])
