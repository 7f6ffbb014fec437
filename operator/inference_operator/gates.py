"""Named yes-or-no questions about a scene, each answered with a reason and a sentence. Pure.

A gate looks only at the fleet that it is asked about and at where traffic goes: the way to a healthy fleet is
never barred by a broken one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.diagnosis import diagnose
from inference_operator.keeping import is_kept, kept_until
from inference_operator.reasons import Reason
from inference_operator.strategy import Strategy, choose
from inference_operator.verdicts import Gate, Verdict, count, pod_names
from inference_operator.verifying import approved, under_way, verified

if TYPE_CHECKING:
    from inference_operator.observed import Fleet, Pod
    from inference_operator.roles import Scene

LINGER = timedelta(seconds=6)
"""A drained fleet stays at least this long after the order: pods serve latecomers for 5 s, while endpoints lag."""
SECOND_LOOK = timedelta(seconds=2)
"""Between the two observations that must both find no stream. Marks have whole seconds, so at least 1 s passes."""


def revision_kept(scene: Scene, fleet: Fleet | None) -> Verdict:
    """A fleet at zero ran this very revision: it comes back with the template it had."""
    name = fleet.name if fleet else "none"
    message = f"Fleet {name} at zero replicas holds revision {scene.revision}"
    return _beside(scene, Reason.FLEET_REVIVED, message, holds=fleet is not None)


def revision_absent(scene: Scene, fleet: Fleet | None) -> Verdict:
    """No fleet that could be used holds this revision."""
    message = f"No fleet holds revision {scene.revision} (version {scene.spec.model.version})"
    return _beside(scene, Reason.FLEET_CREATED, message, holds=fleet is None)


def _beside(scene: Scene, reason: Reason, message: str, *, holds: bool) -> Verdict:
    """A fleet of its own is what the strategy begins now: beside the active one, or after that has gone."""
    choice = choose(scene)
    begins = choice.strategy is Strategy.BLUE_GREEN or (
        choice.strategy is Strategy.RECREATE and _gone(scene.roles.active)
    )
    return Verdict(
        passed=holds and begins,
        reason=reason,
        message=f"{message}. {choice.strategy}: {choice.message}",
    )


def _gone(fleet: Fleet | None) -> bool:
    """Not even a pod that is being deleted is left, which would still hold its memory."""
    return fleet is None or (fleet.replicas == 0 and not fleet.pods)


def way_to_be_cleared(scene: Scene, _fleet: Fleet | None) -> Verdict:
    """Recreate: the active fleet is to drain and stop before the next starts."""
    choice, active = choose(scene), scene.roles.active
    begins = choice.strategy is Strategy.RECREATE and not scene.recreating and active is not None
    version = active.version if active else ""
    message = f"Strategy Recreate: version {version} makes way for {scene.spec.model.version}, and until that is ready nothing serves"
    return Verdict(passed=begins and not _gone(active), reason=Reason.DRAIN_ORDERED, message=message)


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


READY: tuple[Gate, ...] = (pods_ready, model_loaded, preview_routes, service_stands)
PROMOTION: tuple[Gate, ...] = (*READY, verified, approved)
"""What must hold before traffic moves, in the order in which they come to hold."""
RETURN: tuple[Gate, ...] = (*READY, accepting)
"""The same for a fleet that had the traffic before: it has shown what it can do."""


def gates_of(fleet: Fleet) -> tuple[Gate, ...]:
    return RETURN if names.RECALLED in fleet.annotations else PROMOTION


def first_unmet(scene: Scene, fleet: Fleet) -> Gate | None:
    """The gate that the fleet waits for; None when all hold."""
    return next((gate for gate in gates_of(fleet) if not gate(scene, fleet).passed), None)


def promotable(scene: Scene, fleet: Fleet) -> Verdict:
    """All gates of a promotion hold; else the first that does not."""
    if unmet := first_unmet(scene, fleet):
        return unmet(scene, fleet)
    message = f"Version {fleet.version} is ready on {count(fleet.replicas, 'pod')}"
    proof = verified(scene, fleet)
    if proof.reason is Reason.VERIFIED and gates_of(fleet) is PROMOTION:
        message += f": {proof.message}"
    return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)


def unverified(scene: Scene, fleet: Fleet) -> Verdict:
    """All is ready for the golden prompts, and these very pods have not been asked."""
    ready = first_unmet(scene, fleet) is verified and not scene.asked.problem
    verdict = verified(scene, fleet)
    return Verdict(
        passed=ready and not under_way(scene, fleet),
        reason=Reason.VERIFICATION_STARTED,
        message=verdict.message,
    )


def needs_approval(scene: Scene, fleet: Fleet) -> Verdict:
    """Nothing but a person's word is missing, and nobody wrote down since when."""
    passed = first_unmet(scene, fleet) is approved and fleet.awaiting_since is None
    message = f"Version {fleet.version} is ready on {count(fleet.replicas, 'pod')}, and spec.rollout.autoPromotion is false"
    return Verdict(passed=passed, reason=Reason.APPROVAL_NEEDED, message=message)


def at_zero(_scene: Scene, fleet: Fleet) -> Verdict:
    """It is to have the traffic again and has no pods any more."""
    message = f"Fleet {fleet.name} (version {fleet.version}) had the traffic before and has no pods any more"
    return Verdict(passed=fleet.replicas == 0, reason=Reason.FLEET_REVIVED, message=message)


def told_to_drain(_scene: Scene, fleet: Fleet) -> Verdict:
    """It was on its way out, and is wanted again while it is still warm."""
    passed = names.PROMOTED_AT in fleet.annotations and names.RECALLED not in fleet.annotations
    message = f"Fleet {fleet.name} (version {fleet.version}) is still warm and is to serve again"
    return Verdict(passed=passed, reason=Reason.DRAIN_CANCELLED, message=message)


def missized(scene: Scene, fleet: Fleet) -> Verdict:
    """The preview has not the size asked for, or nobody wrote down when it began.

    One that was called back has streams perhaps: it may grow, and shrinks only when it is the active one.
    """
    size = scene.preview_size
    message = f"Fleet {fleet.name} has {fleet.replicas} replicas and should have {size}"
    right = fleet.replicas >= size if names.RECALLED in fleet.annotations else fleet.replicas == size
    wrong = not right or fleet.prepare_started is None
    return Verdict(passed=wrong, reason=Reason.FLEET_RESIZED, message=message)


def deadline_passed(scene: Scene, fleet: Fleet) -> Verdict:
    """The preview has had its time. The reason is what its pods suffer from, where that is known."""
    seconds = scene.spec.rollout.progress_deadline_seconds
    began = fleet.prepare_started or scene.observed.now
    finding = diagnose(fleet)
    why = finding.message if finding else promotable(scene, fleet).message
    return Verdict(
        passed=scene.observed.now >= began + timedelta(seconds=seconds),
        reason=finding.reason if finding else Reason.DEADLINE_EXCEEDED,
        message=f"Version {fleet.version} was not ready within {seconds} s. {why}",
    )


def unwanted(_scene: Scene, fleet: Fleet) -> Verdict:
    """Holds for every superseded fleet: it never had traffic, so it can stop at once."""
    message = f"Fleet {fleet.name} (version {fleet.version}) was superseded before it had any traffic"
    return Verdict(passed=True, reason=Reason.SUPERSEDED, message=message)


def traffic_lost(scene: Scene, fleet: Fleet) -> Verdict:
    """The active Service selects no fleet of ours, and this one had the traffic last."""
    message = f"Service {names.active_service(scene.observed.model.name)} selects no fleet; {fleet.name} was the last to be promoted"
    lost = service_stands(scene, fleet).passed and not scene.roles.routed
    fit = fleet.promoted_at is not None or bool(fleet.ready_pods)  # the flip to it may not have been done
    return Verdict(passed=lost and fit, reason=Reason.TRAFFIC_RESTORED, message=message)


def endpoints_verified(scene: Scene, _fleet: Fleet) -> Verdict:
    """The active Service's ready endpoints are pods of the active fleet and no others.

    And at least one, unless none is wanted.
    """
    service = names.active_service(scene.observed.model.name)
    active = scene.roles.active
    listed = scene.observed.ready_endpoints(service)
    ours = {pod.uid for pod in active.live_pods} if active and scene.roles.routed else set()
    served = bool(listed) or (scene.roles.routed and scene.spec.replicas == 0)
    message = f"{len(listed & ours)} of {len(listed)} ready endpoints of Service {service} are pods of the active fleet"
    return Verdict(passed=served and listed <= ours, reason=Reason.WAITING_FOR_ENDPOINTS, message=message)


def pods_untold(_scene: Scene, fleet: Fleet) -> Verdict:
    """A pod of a draining fleet, born after the order perhaps, has no order of its own."""
    untold = untold_pods(fleet)
    message = f"Pods without a drain order: {pod_names(untold)}"
    return Verdict(passed=bool(untold), reason=Reason.DRAIN_ORDERED, message=message)


def untold_pods(fleet: Fleet) -> tuple[Pod, ...]:
    return tuple(pod for pod in fleet.live_pods if names.DRAIN not in pod.annotations)


def streams_gone(_scene: Scene, fleet: Fleet) -> Verdict:
    """Seen for the first time: every pod drains and has no stream. A pod that cannot be asked is unknown, not idle."""
    return _verdict_on_streams(fleet, passed=_idle(fleet) and fleet.drained_at is None)


def streams_back(_scene: Scene, fleet: Fleet) -> Verdict:
    """It had been seen without streams and now has some, or cannot be asked."""
    return _verdict_on_streams(fleet, passed=not _idle(fleet) and names.DRAINED_AT in fleet.annotations)


def drained(scene: Scene, fleet: Fleet) -> Verdict:
    """Two observations found no stream, and late requests had time to arrive."""
    now, since, told = scene.observed.now, fleet.drained_at, fleet.drain_started
    twice = since is not None and now >= since + SECOND_LOOK
    lingered = told is not None and now >= told + LINGER
    done = _idle(fleet) and twice and lingered
    return _verdict_on_streams(fleet, passed=done and not is_kept(scene, fleet))


def drain_overdue(scene: Scene, fleet: Fleet) -> Verdict:
    """The drain timeout has passed."""
    deadline = drain_deadline(scene, fleet)
    left = (
        f"{count(streams(fleet), 'stream')} left" if _all_known(fleet) else "some of its pods cannot be asked"
    )
    return Verdict(
        passed=deadline is not None and scene.observed.now >= deadline,
        reason=Reason.DRAIN_DEADLINE_EXCEEDED,
        message=f"Fleet {fleet.name} had {scene.spec.rollout.drain_timeout_seconds} s to drain: {left}",
    )


def drain_deadline(scene: Scene, fleet: Fleet) -> datetime | None:
    """A fleet that is kept warm anyway has until then."""
    deadline = deadline_of(scene, fleet.drain_started)
    return max(deadline, kept_until(scene, fleet) or deadline) if deadline else None


def deadline_of(scene: Scene, told: datetime | None) -> datetime | None:
    """When what was told to drain then is stopped whatever it does; None while it was not told."""
    return told + timedelta(seconds=scene.spec.rollout.drain_timeout_seconds) if told else None


def surplus(scene: Scene, fleet: Fleet) -> Verdict:
    """More fleets at zero than are to be kept. The failure of the present ask is kept: it bars a retry."""
    keep = scene.spec.rollout.history_limit
    spare = [each for each in scene.roles.resting if not scene.is_failure(each)]
    oldest = spare[: max(len(spare) - keep, 0)]
    gone = fleet in oldest and not fleet.pods
    message = f"Fleet {fleet.name} (version {fleet.version}) is older than the {keep} kept for a rollback"
    return Verdict(passed=gone, reason=Reason.HISTORY_TRIMMED, message=message)


def streams(fleet: Fleet) -> int:
    """Active streams, of the pods that could be asked."""
    return sum(pod.report.streams.active for pod in fleet.live_pods if pod.report)


def _idle(fleet: Fleet) -> bool:
    return all(
        pod.report is not None and pod.report.draining and pod.report.streams.active == 0
        for pod in fleet.live_pods
    )


def _all_known(fleet: Fleet) -> bool:
    return all(pod.report is not None for pod in fleet.live_pods)


def _verdict_on_streams(fleet: Fleet, *, passed: bool) -> Verdict:
    silent = [pod for pod in fleet.live_pods if pod.report is None]
    message = f"Fleet {fleet.name} (version {fleet.version}) has {count(streams(fleet), 'active stream')}"
    if silent:
        message += f"; unknown, because they do not answer: {pod_names(silent)}"
    return Verdict(passed=passed, reason=Reason.WAITING_FOR_STREAMS, message=message)


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
