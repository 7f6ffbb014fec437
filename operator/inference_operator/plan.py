"""The decision: from one observation to what is done, reported and looked at again. Pure.

Level-triggered and without memory: every round starts from what is there. A round takes at most one step of the
rollout, and besides keeps right whatever is found wrong; killed between any two actions, the next round goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names, phases, rollout, routing
from inference_operator.actions import Plan
from inference_operator.errors import InvalidSpec
from inference_operator.news import news
from inference_operator.reasons import Phase, Reason
from inference_operator.roles import cast_roles, set_scene
from inference_operator.scaling import scale
from inference_operator.spec import parse, revision
from inference_operator.status import refused_status, scene_status
from inference_operator.status.conditions import Refusal
from inference_operator.steps import actions_of, event_of
from inference_operator.timing import recheck_after
from inference_operator.upkeep import upkeep

if TYPE_CHECKING:
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
    if scene.spec.clients and observed.secrets_refused:
        return _hold(scene, _forbidden(observed.secrets_refused))
    return _suspend(scene) if spec.suspend else _proceed(scene)


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
    phase = phases.phase_of(scene)
    taken = rollout.next_step(scene)
    steps = actions_of(scene, taken) if taken else ()
    status = scene_status(scene, phase)
    told = (event_of(scene, taken),) if taken else ()
    return Plan(
        status=status,
        actions=(*upkeep(scene), *steps),
        route=routing.change(scene),
        events=(*told, *scale(scene).events, *news(scene.observed.model.status, status)),
        recheck_after=recheck_after(scene, phase, stepped=taken is not None),
        step=taken.row.step if taken else "",
    )


def _suspend(scene: Scene) -> Plan:
    return _begin_nothing(scene, scene_status(scene, phases.phase_of(scene)))


def _hold(scene: Scene, refusal: Refusal) -> Plan:
    return _begin_nothing(scene, refused_status(scene.observed, scene.roles, refusal))


def _begin_nothing(scene: Scene, status: dict[str, Any]) -> Plan:
    """What drains goes on draining, and traffic that was lost is given back."""
    taken = rollout.next_step(scene, rollout.HELD)
    told = (event_of(scene, taken),) if taken else ()
    return Plan(
        status=status,
        actions=actions_of(scene, taken) if taken else (),
        events=(*told, *news(scene.observed.model.status, status)),
        recheck_after=1.0 if scene.roles.leaving else None,
        step=taken.row.step if taken else "",
    )


def _refuse(observed: Observed, scene: Scene | None, refusal: Refusal) -> Plan:
    """Touch nothing at all."""
    roles = scene.roles if scene else cast_roles(observed, None)
    status = refused_status(observed, roles, refusal)
    return Plan(
        status=status,
        events=news(observed.model.status, status),
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


def _forbidden(why: str) -> Refusal:
    message = f"spec.clients cannot be acted on: {why}. This spec is not applied; what serves goes on serving as it is."
    return Refusal(Phase.INVALID, Reason.SECRETS_FORBIDDEN, message)
