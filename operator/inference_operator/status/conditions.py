"""The conditions: each a type, whether it holds, a reason for machines, and a sentence for people.

Serving and rolling out are told apart: a preview that fails never makes Available false.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_operator import gates, names
from inference_operator.actions import write_time
from inference_operator.diagnosis import diagnose
from inference_operator.reasons import Condition, Phase, Reason
from inference_operator.scaling import retiring
from inference_operator.status import begun

if TYPE_CHECKING:
    from inference_operator.observed import Fleet, Observed
    from inference_operator.roles import Roles, Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    type: Condition
    holds: bool
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the spec is not acted on: it makes no sense, asks for what is not done yet, or names are taken."""

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
    version = scene.spec.model.version
    if phase is Phase.PREPARING and (preview := scene.roles.preview):
        verdict = gates.promotable(scene, preview)
        message = f"Version {version} is being prepared: {verdict.message}."
        return Claim(type=Condition.PROGRESSING, holds=True, reason=verdict.reason, message=message)
    if phase is Phase.PREPARING and (loading := begun.loading(scene)):
        message = f"Version {version} is being loaded into the running pods: {loading.message}."
        return Claim(type=Condition.PROGRESSING, holds=True, reason=loading.reason, message=message)
    if phase is Phase.FAILED and scene.failure:
        reason, _, message = scene.failure.failed.partition(": ")
        inside = scene.failure is scene.roles.active
        rest = "goes on as it was" if inside else "is stopped"
        text = f"{message.rstrip('. ')}. Fleet {scene.failure.name} {rest}; edit the spec to try again."
        return Claim(type=Condition.PROGRESSING, holds=False, reason=_reason(reason), message=text)
    if phase is Phase.PENDING and not scene.arrived:
        holds, why, message = begun.waiting(scene)
        return Claim(type=Condition.PROGRESSING, holds=holds, reason=why, message=message)
    if phase is Phase.PROMOTING:
        message = f"Traffic moves to version {version}: {begun.moving(scene)}."
        return Claim(
            type=Condition.PROGRESSING, holds=True, reason=Reason.WAITING_FOR_ENDPOINTS, message=message
        )
    message = f"Version {version} is the active one; no rollout is under way."
    return Claim(type=Condition.PROGRESSING, holds=False, reason=Reason.STABLE, message=message)


def _ready(scene: Scene, phase: Phase, available: Claim, progressing: Claim) -> Claim:
    """The version asked for serves, on every pod asked for."""
    fleet = scene.roles.active
    if fleet is None or not scene.arrived or phase is Phase.PROMOTING:
        return Claim(
            type=Condition.READY, holds=False, reason=progressing.reason, message=progressing.message
        )
    if not available.holds:
        return Claim(type=Condition.READY, holds=False, reason=available.reason, message=available.message)
    ready, wanted = len(fleet.ready_pods), scene.size
    message = f"Version {fleet.version} serves on {ready} of {wanted} pods. {_generations(scene, fleet)}"
    if going := len(retiring(fleet)):
        message += f" {going} more finish their streams and leave."
    if ready < wanted:
        return Claim(type=Condition.READY, holds=False, reason=Reason.PODS_NOT_READY, message=message)
    return Claim(type=Condition.READY, holds=True, reason=Reason.SERVING, message=message)


def _degraded(scene: Scene) -> Claim:
    if scene.failure and not scene.arrived:
        reason, _, message = scene.failure.failed.partition(": ")
        text = f"The last rollout failed: {message}"
        return Claim(type=Condition.DEGRADED, holds=True, reason=_reason(reason), message=text)
    fleet = scene.roles.active
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
        message = f"Version {version} passed every gate before it got traffic."
        return Claim(type=Condition.VERIFIED, holds=True, reason=Reason.GATES_PASSED, message=message)
    if preview := scene.roles.preview:
        verdict = gates.promotable(scene, preview)
        return Claim(
            type=Condition.VERIFIED,
            holds=verdict.passed,
            reason=verdict.reason,
            message=f"{verdict.message}.",
        )
    if scene.failure:
        reason, _, message = scene.failure.failed.partition(": ")
        return Claim(type=Condition.VERIFIED, holds=False, reason=_reason(reason), message=message)
    if loading := begun.loading(scene):
        holds, message = loading.passed, f"{loading.message}."
        return Claim(type=Condition.VERIFIED, holds=holds, reason=loading.reason, message=message)
    message = f"Version {version} has no pods yet."
    return Claim(type=Condition.VERIFIED, holds=False, reason=Reason.ROLLOUT_STARTING, message=message)


def _draining(scene: Scene) -> Claim:
    leaving, inside = scene.roles.leaving, begun.outgoing(scene)
    if not leaving and not inside:
        return Claim(
            type=Condition.DRAINING, holds=False, reason=Reason.NOTHING_TO_DRAIN, message="No fleet drains."
        )
    message = "; ".join([*(_drain(scene, fleet) for fleet in leaving), *([inside[1]] if inside else [])])
    return Claim(
        type=Condition.DRAINING, holds=True, reason=Reason.WAITING_FOR_STREAMS, message=f"{message}."
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


def _reason(text: str) -> Reason:
    """The reason in a mark; a hand may have written anything there."""
    return Reason(text) if text in set(Reason) else Reason.ROLLOUT_FAILED
