"""The parts of the status that tell of fleets: active, target, draining, history, url."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import gates, keeping, names, verbs, verifying
from inference_operator.actions import write_time
from inference_operator.reasons import Reason
from inference_operator.status import begun
from inference_operator.verification import read_result

if TYPE_CHECKING:
    from datetime import datetime

    from inference_operator.observed import Fleet, Observed
    from inference_operator.reasons import Phase
    from inference_operator.roles import Roles, Scene
    from inference_operator.verdicts import Gate
    from inference_operator.verification import GateResult, Result

HISTORY_LENGTH = 32
DRAINING_LENGTH = 64
REVISION_LENGTH = 64
"""The schema's bounds."""


def active(fleet: Fleet) -> dict[str, Any]:
    return _identity(fleet) | {
        "replicas": fleet.replicas,
        "readyReplicas": len(fleet.ready_pods),
        **_streams(fleet),
    }


def target(scene: Scene, phase: Phase) -> dict[str, Any]:
    """What the model is on its way to, or failed to get to; its `step` is the phase it is in."""
    fleet = scene.roles.preview or scene.failure
    wanted: dict[str, Any] = {
        "version": scene.spec.model.version,
        "revision": scene.revision,
        "step": str(phase),
        **begun.way(scene),
    }
    if fleet is None:
        return wanted | begun.target(scene)
    wanted["fleet"] = fleet.name
    if fleet.prepare_started:
        wanted["startedAt"] = write_time(fleet.prepare_started)
    wanted |= progress(fleet, scene.spec.model.version)
    if fleet is scene.roles.preview:
        wanted["gates"] = [_gate(scene, fleet, gate) for gate in gates.gates_of(fleet)]
        wanted["gates"] += golden(verifying.result_of(scene, fleet))
    else:
        wanted["gates"] = golden(read_result(fleet.annotations.get(names.VERIFICATION, "")))
    return wanted


def progress(fleet: Fleet, version: str) -> dict[str, Any]:
    """The download of the pod that has least."""
    reports = [pod.report.version(version) for pod in fleet.live_pods if pod.report]
    transfers = [report.progress for report in reports if report and report.progress]
    if not transfers:
        return {}
    least = min(transfers, key=lambda transfer: transfer.bytes_done)
    return {
        "progress": {
            "bytesDone": least.bytes_done,
            "bytesTotal": least.bytes_total,
            "bytesPerSecond": least.bytes_per_second,
        }
    }


def golden(result: Result | None) -> list[dict[str, Any]]:
    """The gate of each golden prompt, with what was answered."""
    return [_answered(gate) for gate in result.gates] if result else []


def orders(scene: Scene) -> list[dict[str, Any]]:
    return [
        {
            "verb": order.verb,
            "revision": order.revision[:REVISION_LENGTH],
            "heeded": order.heeded,
            "message": order.message,
        }
        for order in verbs.orders(scene)
    ]


def previous(scene: Scene) -> dict[str, Any] | None:
    """The fleet that is kept warm, so that going back to it takes seconds; None where there is none."""
    for fleet in scene.roles.leaving:
        until = keeping.kept_until(scene, fleet)
        if until and keeping.at_rest(scene, fleet):
            return _identity(fleet) | {"keptUntil": write_time(until)}
    return None


def draining(fleet: Fleet, deadline: datetime | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": fleet.version,
        "fleet": fleet.name,
        **_streams(fleet),
    }
    if deadline:
        found["deadline"] = write_time(deadline)
    return found


def history(roles: Roles) -> list[dict[str, Any]]:
    """Fleets at zero, the newest first."""
    return [_past(fleet) for fleet in reversed(roles.resting)][:HISTORY_LENGTH]


def selector(observed: Observed, fleet: Fleet) -> str:
    """What an autoscaler counts: the pods of the active fleet alone."""
    pairs = names.fleet_selector(observed.model.name, fleet.name).items()
    return ",".join(f"{key}={value}" for key, value in pairs)


def url(observed: Observed) -> str:
    """Where clients go: the load balancer's address once there is one, else the Service's name in the cluster."""
    model = observed.model
    service = observed.child("Service", names.active_service(model.name))
    content = service.content if service else {}
    for ingress in content.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        if host := ingress.get("hostname") or ingress.get("ip"):
            return f"http://{host}"
    return f"http://{names.active_service(model.name)}.{model.namespace}.svc"


def _identity(fleet: Fleet) -> dict[str, Any]:
    return {"version": fleet.version, "revision": fleet.revision, "fleet": fleet.name}


def _streams(fleet: Fleet) -> dict[str, int]:
    """Nothing where no pod could be asked: that is unknown, and not 0."""
    known = not fleet.live_pods or any(pod.report for pod in fleet.live_pods)
    return {"activeStreams": gates.streams(fleet)} if known else {}


def _answered(gate: GateResult) -> dict[str, Any]:
    measured = {"ttftMs": gate.ttft_ms, "tokensPerSecond": gate.tokens_per_second}
    reason = Reason.VERIFIED if gate.passed else Reason.VERIFICATION_FAILED
    return {
        "name": f"golden-{gate.name}",
        "passed": gate.passed,
        "reason": str(reason),
        "message": gate.message,
        "answer": gate.answer,
        **{name: value for name, value in measured.items() if value is not None},
    }


def _gate(scene: Scene, fleet: Fleet, gate: Gate) -> dict[str, Any]:
    verdict = gate(scene, fleet)
    return {
        "name": gate.__name__.replace("_", "-"),
        "passed": verdict.passed,
        "reason": str(verdict.reason),
        "message": verdict.message,
    }


def _past(fleet: Fleet) -> dict[str, Any]:
    found = _identity(fleet)
    if fleet.failed:
        return found | {"outcome": "Failed", "message": fleet.failed}
    if fleet.promoted_at is None:
        return found | {"outcome": "Superseded"}
    return found | {"outcome": "Retired", "promotedAt": write_time(fleet.promoted_at)}
