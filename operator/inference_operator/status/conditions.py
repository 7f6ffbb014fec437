"""The conditions: each a type, whether it holds, a reason for machines, and a sentence for people.

Serving and rolling out are told apart: a preview that fails never makes Available false.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_operator import gates, judging, names, routing, verifying
from inference_operator.actions import write_time
from inference_operator.diagnosis import diagnose
from inference_operator.keeping import at_rest
from inference_operator.reasons import Condition, Phase, Reason
from inference_operator.scaling import retiring
from inference_operator.status import begun
from inference_operator.status.progress import progress, told_failure
from inference_operator.status.update import update
from inference_operator.verdicts import count
from inference_operator.verification import read_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.observed import Fleet, Observed
    from inference_operator.roles import Roles, Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    type: Condition
    holds: bool | None
    """None: not known."""
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the spec is not acted on: it makes no sense, asks for what may not be read, or names are taken."""

    phase: Phase
    reason: Reason
    message: str


def of_scene(scene: Scene, phase: Phase) -> tuple[Claim, ...]:
    available = _available(scene.observed, scene.roles)
    progressing = _progressing(scene, phase)
    return (
        _ready(scene, phase, available, progressing),
        available,
        progressing,
        _degraded(scene),
        _verified(scene),
        _draining(scene),
        _update_available(scene),
        *_route_accepted(scene),
    )


def of_refusal(observed: Observed, roles: Roles, refusal: Refusal) -> tuple[Claim, ...]:
    """What was serving serves on; nothing new begins."""
    reason, message = refusal.reason, refusal.message
    leaving = len(roles.leaving)
    return (
        Claim(type=Condition.READY, holds=False, reason=reason, message=message),
        _available(observed, roles),
        Claim(type=Condition.PROGRESSING, holds=False, reason=reason, message=message),
        Claim(type=Condition.DEGRADED, holds=True, reason=reason, message=message),
        Claim(type=Condition.VERIFIED, holds=False, reason=reason, message="This spec was not tried."),
        Claim(
            type=Condition.DRAINING,
            holds=bool(leaving),
            reason=Reason.DRAINING if leaving else Reason.NOTHING_TO_DRAIN,
            message=f"{leaving} fleets drain." if leaving else "No fleet drains.",
        ),
    )


def _available(observed: Observed, roles: Roles) -> Claim:
    fleet, service = roles.active, names.active_service(observed.model.name)
    if fleet is None:
        message = "No version serves yet; status.target tells how far the first one is."
        return Claim(type=Condition.AVAILABLE, holds=False, reason=Reason.NEVER_PROMOTED, message=message)
    pods = {pod.uid for pod in fleet.live_pods}
    serving = len(observed.ready_endpoints(service) & pods)
    if serving and roles.routed:
        message = f"Version {fleet.version} serves on {serving} of {fleet.replicas} pods."
        return Claim(type=Condition.AVAILABLE, holds=True, reason=Reason.SERVING, message=message)
    if fleet.replicas == 0:
        message = "spec.replicas is 0; raise it to serve."
        return Claim(type=Condition.AVAILABLE, holds=False, reason=Reason.SCALED_TO_ZERO, message=message)
    finding = diagnose(fleet)
    why = f" {finding.message}." if finding else ""
    message = f"Service {service} has no ready pod of version {fleet.version}.{why}"
    return Claim(type=Condition.AVAILABLE, holds=False, reason=Reason.NO_READY_ENDPOINTS, message=message)


def _progressing(scene: Scene, phase: Phase) -> Claim:
    holds, reason, message = progress(scene, phase)
    return Claim(type=Condition.PROGRESSING, holds=holds, reason=reason, message=message)


def _ready(scene: Scene, phase: Phase, available: Claim, progressing: Claim) -> Claim:
    """The version asked for serves, on every pod asked for."""
    fleet = scene.roles.active
    if fleet is None or not scene.arrived or phase is Phase.PROMOTING:
        message = _in_short(scene, phase) or progressing.message
        return Claim(type=Condition.READY, holds=False, reason=progressing.reason, message=message)
    if not available.holds:
        return Claim(type=Condition.READY, holds=False, reason=available.reason, message=available.message)
    ready, wanted = len(fleet.ready_pods), scene.size
    message = f"Version {fleet.version} serves on {ready} of {wanted} pods. {_generations(scene, fleet)}"
    if going := len(retiring(fleet)):
        message += f" {going} more finish their streams and leave."
    if ready < wanted:
        return Claim(type=Condition.READY, holds=False, reason=Reason.PODS_NOT_READY, message=message)
    return Claim(type=Condition.READY, holds=True, reason=Reason.SERVING, message=message)


def _in_short(scene: Scene, phase: Phase) -> str:
    """Of a rollout that failed: its whole story stands in Progressing and Degraded already."""
    active = scene.roles.active
    if phase is not Phase.FAILED or scene.failure is None or active is None:
        return ""
    wanted = scene.spec.model.version
    return f"Version {wanted} could not be rolled out, see Progressing; version {active.version} has the traffic."


def _degraded(scene: Scene) -> Claim:
    if scene.failure and not scene.arrived:
        reason, message = told_failure(scene.failure)
        text = f"The last rollout failed: {message}"
        return Claim(type=Condition.DEGRADED, holds=True, reason=reason, message=text)
    fleet = scene.roles.active
    alone = scene.previous is None  # else the step that is taken now goes back
    if fleet and alone and judging.on_trial(scene) and (found := judging.breach(scene, fleet)):
        text = f"Version {fleet.version} does badly under traffic: {found}. No earlier version is kept to go back to."
        return Claim(type=Condition.DEGRADED, holds=True, reason=Reason.ANALYSIS_BREACHED, message=text)
    if fleet and (finding := diagnose(fleet)):
        return Claim(type=Condition.DEGRADED, holds=True, reason=finding.reason, message=finding.message)
    if problems := [keys.problem for keys in scene.observed.client_keys.values() if keys.problem]:
        text = f"{'; '.join(problems)}. All else of this model goes on."
        return Claim(type=Condition.DEGRADED, holds=True, reason=Reason.CLIENT_KEY_MISSING, message=text)
    for pod in fleet.live_pods if fleet else ():
        if pod.report and pod.report.settings_error:
            text = (
                f"Pod {pod.name} keeps the settings of generation {pod.report.settings_generation}, "
                f"because it refuses newer ones: {pod.report.settings_error}"
            )
            return Claim(type=Condition.DEGRADED, holds=True, reason=Reason.SETTINGS_REJECTED, message=text)
    return Claim(
        type=Condition.DEGRADED, holds=False, reason=Reason.ALL_WELL, message="Nothing is known to be wrong."
    )


def _verified(scene: Scene) -> Claim:
    """The wanted revision passed every gate of its promotion."""
    version = scene.spec.model.version
    if scene.arrived:
        active = scene.roles.active
        result = read_result(active.annotations.get(names.VERIFICATION, "")) if active else None
        proof = f", {count(len(result.gates), 'golden gate')} among them" if result else ""
        message = f"Version {version} passed every gate before it got traffic{proof}."
        return Claim(type=Condition.VERIFIED, holds=True, reason=Reason.GATES_PASSED, message=message)
    if (preview := scene.roles.preview) and not scene.condemned:
        verdict = (
            verifying.verified(scene, preview)
            if gates.first_unmet(scene, preview) is verifying.approved
            else gates.promotable(scene, preview)
        )
        return Claim(
            type=Condition.VERIFIED,
            holds=verdict.passed,
            reason=verdict.reason,
            message=f"{verdict.message}.",
        )
    if scene.failure:
        reason, _ = told_failure(scene.failure)
        message = f"Version {version} did not come to its end, see Progressing."
        return Claim(type=Condition.VERIFIED, holds=False, reason=reason, message=message)
    if loading := begun.loading(scene):
        holds, message = loading.passed, f"{loading.message}."
        return Claim(type=Condition.VERIFIED, holds=holds, reason=loading.reason, message=message)
    message = f"Version {version} has no pods yet."
    return Claim(type=Condition.VERIFIED, holds=False, reason=Reason.ROLLOUT_STARTING, message=message)


def _draining(scene: Scene) -> Claim:
    leaving = [fleet for fleet in scene.roles.leaving if not at_rest(scene, fleet)]
    inside = begun.outgoing(scene)
    if not leaving and not inside:
        return Claim(
            type=Condition.DRAINING, holds=False, reason=Reason.NOTHING_TO_DRAIN, message="No fleet drains."
        )
    message = "; ".join([*(_drain(scene, fleet) for fleet in leaving), *([inside[1]] if inside else [])])
    return Claim(
        type=Condition.DRAINING, holds=True, reason=Reason.WAITING_FOR_STREAMS, message=f"{message}."
    )


def _update_available(scene: Scene) -> Claim:
    holds, reason, message = update(scene)
    return Claim(type=Condition.UPDATE_AVAILABLE, holds=holds, reason=reason, message=message)


def _route_accepted(scene: Scene) -> Iterator[Claim]:
    if found := routing.standing(scene):
        yield Claim(
            type=Condition.ROUTE_ACCEPTED, holds=found.holds, reason=found.reason, message=found.message
        )


def _drain(scene: Scene, fleet: Fleet) -> str:
    deadline = gates.drain_deadline(scene, fleet)
    if deadline is None:
        return f"Fleet {fleet.name} (version {fleet.version}) is told to drain once its successor has the traffic"
    message = gates.streams_gone(scene, fleet).message
    return f"{message}; it is stopped at {write_time(deadline)} at the latest"


def _generations(scene: Scene, fleet: Fleet) -> str:
    generation, pods = scene.observed.model.generation, fleet.live_pods
    current = sum(pod.report is not None and pod.report.settings_generation == generation for pod in pods)
    return f"{current}/{len(pods)} pods run generation {generation}."
