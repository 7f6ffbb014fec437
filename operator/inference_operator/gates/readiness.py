"""Whether a fleet could serve: its pods, what they say of themselves, and the Services. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.diagnosis import diagnose
from inference_operator.reasons import Reason
from inference_operator.verdicts import Verdict, pod_names

if TYPE_CHECKING:
    from inference_operator.observed import Fleet, Pod
    from inference_operator.roles import Scene


def pods_ready(_scene: Scene, fleet: Fleet) -> Verdict:
    """Every pod asked for is there and passes its readiness probe."""
    ready, wanted = len(fleet.ready_pods), fleet.replicas
    message = f"{ready} of {wanted} pods of fleet {fleet.name} are ready"
    if ready == wanted == len(fleet.live_pods) and wanted > 0:
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)
    if finding := diagnose(fleet):
        return Verdict(passed=False, reason=finding.reason, message=f"{message}. {finding.message}")
    return Verdict(passed=False, reason=Reason.WAITING_FOR_PODS, message=_loading(fleet) or message)


def model_loaded(_scene: Scene, fleet: Fleet) -> Verdict:
    """Every pod says of itself that it has loaded and warmed this version."""
    unsure = [pod for pod in fleet.live_pods if _state(pod, fleet.version) != "ready"]
    if not unsure and fleet.live_pods:
        return Verdict(
            passed=True, reason=Reason.GATES_PASSED, message=f"Every pod has version {fleet.version} loaded"
        )
    message = f"Pods that do not yet say that version {fleet.version} is ready: {pod_names(unsure) or 'all'}"
    return Verdict(passed=False, reason=Reason.WAITING_FOR_MODEL, message=message)


def preview_routes(scene: Scene, fleet: Fleet) -> Verdict:
    """The preview Service's endpoints are these pods, and ready: so would the active Service's be."""
    service = names.preview_service(scene.observed.model.name)
    listed = scene.observed.ready_endpoints(service)
    wanted = {pod.uid for pod in fleet.live_pods}
    message = (
        f"Service {service} lists {len(listed & wanted)} of {len(wanted)} pods of fleet {fleet.name} as ready"
    )
    if wanted and listed == wanted:
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)
    return Verdict(passed=False, reason=Reason.WAITING_FOR_ENDPOINTS, message=message)


def service_stands(scene: Scene, _fleet: Fleet) -> Verdict:
    """There is an active Service to flip."""
    name = names.active_service(scene.observed.model.name)
    service = scene.observed.child("Service", name)
    if service is not None and service.ours:
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message=f"Service {name} stands")
    return Verdict(
        passed=False, reason=Reason.WAITING_FOR_ENDPOINTS, message=f"Service {name} is being created"
    )


def accepting(_scene: Scene, fleet: Fleet) -> Verdict:
    """No pod still thinks that it is to drain: it would turn away what the flip sends to it."""
    closed = [
        pod
        for pod in fleet.live_pods
        if names.DRAIN in pod.annotations or (pod.report and pod.report.draining)
    ]
    if not closed:
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message="Every pod takes new work")
    message = f"Pods that have not yet heard that they are to take new work again: {pod_names(closed)}"
    return Verdict(passed=False, reason=Reason.WAITING_TO_ACCEPT, message=message)


def _state(pod: Pod, version: str) -> str:
    report = pod.report.version(version) if pod.report else None
    return report.state if report else "unknown"


def _loading(fleet: Fleet) -> str:
    """What the pods that are not ready say they are doing; empty when none says anything."""
    said = []
    for pod in fleet.live_pods:
        report = pod.report.version(fleet.version) if pod.report else None
        if report is not None and not pod.ready:
            said.append(f"{pod.name} is {report.doing}")
    ready = f"{len(fleet.ready_pods)} of {fleet.replicas} pods of fleet {fleet.name} are ready"
    return f"{ready}: {', '.join(said)}" if said else ""
