"""What must hold before each step of a swap in place. Pure. Each is asked of the active fleet."""

from __future__ import annotations

from datetime import timedelta

from inference_operator import names
from inference_operator.gates import LINGER, SECOND_LOOK
from inference_operator.observed import Fleet, Pod, read_time
from inference_operator.reasons import Reason
from inference_operator.reports import VersionReport
from inference_operator.roles import Scene
from inference_operator.strategy import Strategy, choose
from inference_operator.verbs import aborted
from inference_operator.verdicts import Verdict
from inference_operator.verifying import answered_wrong, approved, under_way, verified, version_of

_FIRST = (
    ". With spec.rollout.strategy InPlace the old version makes way first; requests are refused meanwhile"
)
OUT_OF_MEMORY = "OutOfMemory"
"""A pod's message begins with it when the version failed to load for want of memory."""


def loadable(scene: Scene, _fleet: Fleet | None) -> Verdict:
    """In place is the strategy, and no pod still tells of an earlier try."""
    choice, active = choose(scene), scene.roles.active
    wanted = scene.spec.model.version
    free = active is not None and active.incoming is None and active.outgoing is None
    clean = active is not None and not _in_state(active, wanted, {"failed", "draining"})
    name = active.name if active else "none"
    return Verdict(
        passed=choice.strategy is Strategy.IN_PLACE and free and clean,
        reason=Reason.STRATEGY_CHOSEN,
        message=f"Version {wanted} is to be swapped in inside the pods of fleet {name}: {choice.message}",
    )


def outgoing_wanted(scene: Scene, fleet: Fleet) -> Verdict:
    """The version that is on its way out is wanted again while its pods still hold it."""
    outgoing = fleet.outgoing
    wanted = outgoing is not None and outgoing.revision == scene.revision and fleet.incoming is None
    version = outgoing.weights.version if outgoing else "none"
    message = f"Version {version} is wanted again and still loaded in the pods of fleet {fleet.name}"
    return Verdict(passed=wanted and not scene.arrived, reason=Reason.STRATEGY_CHOSEN, message=message)


def incoming_unwanted(scene: Scene, fleet: Fleet) -> Verdict:
    """Something else is asked for now, or there is no pod any more that could load it."""
    incoming = fleet.incoming
    version = incoming.weights.version if incoming else "none"
    unwanted = incoming is not None and (incoming.revision != scene.revision or fleet.replicas == 0)
    message = f"Version {version} was superseded before it got any work"
    return Verdict(passed=unwanted, reason=Reason.SUPERSEDED, message=message)


def incoming_ready(scene: Scene, fleet: Fleet) -> Verdict:
    """Every pod says that the new version is loaded and warmed; its golden prompts are answered, and nobody has to be asked."""
    incoming = fleet.incoming
    if incoming is None:
        return Verdict(passed=False, reason=Reason.WAITING_FOR_MODEL, message="No version is being loaded")
    version = incoming.weights.version
    ready = _in_state(fleet, version, {"ready"})
    count = len(fleet.live_pods)
    if count and len(ready) == count:
        return _judged(scene, fleet)
    said = _said(fleet, version)
    message = f"{len(ready)} of {count} pods of fleet {fleet.name} have version {version} loaded{said}"
    return Verdict(passed=False, reason=Reason.WAITING_FOR_MODEL, message=message)


def _judged(scene: Scene, fleet: Fleet) -> Verdict:
    """It is loaded everywhere: golden prompts and approval are left."""
    for gate in (verified, approved):
        if not (verdict := gate(scene, fleet)).passed:
            return verdict
    message = f"Version {version_of(fleet)} is loaded in every pod of fleet {fleet.name}"
    return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)


def incoming_unverified(scene: Scene, fleet: Fleet) -> Verdict:
    """It is loaded everywhere, and these very pods have not been asked its golden prompts."""
    verdict = incoming_ready(scene, fleet)
    waits = verdict.reason is Reason.WAITING_FOR_ANSWERS and not under_way(scene, fleet)
    return Verdict(passed=waits, reason=Reason.VERIFICATION_STARTED, message=verdict.message)


def incoming_wrong(scene: Scene, fleet: Fleet) -> Verdict:
    """A pod failed a golden prompt."""
    loaded = incoming_ready(scene, fleet).reason is Reason.VERIFICATION_FAILED
    verdict = answered_wrong(scene, fleet)
    return Verdict(passed=loaded, reason=verdict.reason, message=verdict.message)


def incoming_aborted(scene: Scene, fleet: Fleet) -> Verdict:
    """A person wants its rollout ended."""
    incoming = fleet.incoming
    asked = incoming is not None and incoming.revision == scene.revision and aborted(scene)
    message = f"Annotation {names.ABORT} ends the rollout of version {version_of(fleet)}"
    return Verdict(passed=asked, reason=Reason.ABORTED, message=message)


def incoming_lacks_memory(scene: Scene, fleet: Fleet) -> Verdict:
    """A pod has no memory for both, and the strategy that was asked for lets the old one go first."""
    incoming = fleet.incoming
    both = incoming is not None and not incoming.alone_since
    short = _failed(fleet, OUT_OF_MEMORY) if both else ""
    asked: str = scene.spec.rollout.strategy
    # While pods make way they refuse work, golden prompts too: nobody could tell whether the version is any good.
    allowed = asked == Strategy.IN_PLACE and scene.asked.nothing
    message = f"{short}. Version {fleet.version} makes way first, and until the new one is ready requests are refused with Retry-After"
    return Verdict(passed=bool(short) and allowed, reason=Reason.OUT_OF_MEMORY, message=message)


def predecessor_gone(scene: Scene, fleet: Fleet) -> Verdict:
    """Every pod refuses new work and has no stream, or had its time to end them."""
    incoming, now = fleet.incoming, scene.observed.now
    told = read_time(incoming.alone_since) if incoming and not incoming.cleared else None
    seconds = scene.spec.rollout.drain_timeout_seconds
    quiet = told is not None and now >= told + LINGER + SECOND_LOOK and _quiet(fleet)
    overdue = told is not None and now >= told + timedelta(seconds=seconds)
    left = f"had {seconds} s to end its streams" if overdue and not quiet else "has no stream left"
    message = f"Version {fleet.version} {left} in fleet {fleet.name}"
    return Verdict(passed=quiet or overdue, reason=Reason.STREAMS_FINISHED, message=message)


def incoming_failed(scene: Scene, fleet: Fleet) -> Verdict:
    """A pod says that it cannot load it, or the time is up."""
    incoming = fleet.incoming
    if incoming is None:
        return Verdict(passed=False, reason=Reason.WAITING_FOR_MODEL, message="No version is being loaded")
    version, seconds = incoming.weights.version, scene.spec.rollout.progress_deadline_seconds
    making_way = bool(incoming.alone_since) and not incoming.cleared
    if not making_way and (failed := _failed(fleet)):
        short = OUT_OF_MEMORY in failed
        hint = _FIRST if short and not incoming.alone_since else ""
        reason = Reason.OUT_OF_MEMORY if short else Reason.LOAD_FAILED
        return Verdict(passed=True, reason=reason, message=f"{failed}{hint}")
    began = read_time(incoming.started_at) or scene.observed.now
    waits_for_a_person = incoming_ready(scene, fleet).reason is Reason.APPROVAL_NEEDED
    return Verdict(
        passed=not waits_for_a_person and scene.observed.now >= began + timedelta(seconds=seconds),
        reason=Reason.DEADLINE_EXCEEDED,
        message=f"Version {version} was not ready within {seconds} s. {incoming_ready(scene, fleet).message}",
    )


def work_moved(_scene: Scene, fleet: Fleet) -> Verdict:
    """Every pod says that new work goes to the version that was promoted in it. Where none is wanted, none has to."""
    pods = fleet.live_pods
    moved = [pod for pod in pods if _active_version(pod) == fleet.version]
    message = (
        f"{len(moved)} of {len(pods)} pods of fleet {fleet.name} give new work to version {fleet.version}"
    )
    untold = fleet.outgoing is not None and not fleet.outgoing.drain_started
    passed = untold and len(moved) == len(pods) and (bool(pods) or fleet.replicas == 0)
    return Verdict(passed=passed, reason=Reason.DRAIN_ORDERED, message=message)


def outgoing_idle(_scene: Scene, fleet: Fleet) -> Verdict:
    """Seen for the first time: no pod has a stream on the old version. One that does not answer is unknown."""
    outgoing = fleet.outgoing
    first = outgoing is not None and not outgoing.drained_at
    return _on_streams(fleet, passed=first and _version_quiet(fleet))


def outgoing_busy(_scene: Scene, fleet: Fleet) -> Verdict:
    """It had been seen without streams and now has some, or cannot be asked."""
    outgoing = fleet.outgoing
    marked = outgoing is not None and bool(outgoing.drained_at)
    return _on_streams(fleet, passed=marked and not _version_quiet(fleet))


def outgoing_drained(scene: Scene, fleet: Fleet) -> Verdict:
    """Two observations found no stream, and late requests had time to arrive."""
    outgoing = fleet.outgoing
    if outgoing is None:
        return _on_streams(fleet, passed=False)
    now, since, told = scene.observed.now, read_time(outgoing.drained_at), read_time(outgoing.drain_started)
    twice = since is not None and now >= since + SECOND_LOOK
    lingered = told is not None and now >= told + LINGER
    return _on_streams(fleet, passed=twice and lingered and _version_quiet(fleet))


def outgoing_overdue(scene: Scene, fleet: Fleet) -> Verdict:
    """The drain timeout has passed."""
    told = read_time(fleet.outgoing.drain_started) if fleet.outgoing else None
    seconds = scene.spec.rollout.drain_timeout_seconds
    overdue = told is not None and scene.observed.now >= told + timedelta(seconds=seconds)
    found = _on_streams(fleet, passed=overdue)
    return Verdict(
        passed=overdue, reason=Reason.DRAIN_DEADLINE_EXCEEDED, message=f"{found.message} after {seconds} s"
    )


def streams_on(fleet: Fleet, version: str) -> int:
    """Active streams on one version, of the pods that could be asked."""
    reports = [_report(pod, version) for pod in fleet.live_pods]
    return sum(report.active_streams for report in reports if report)


def _on_streams(fleet: Fleet, *, passed: bool) -> Verdict:
    version = fleet.outgoing.weights.version if fleet.outgoing else "none"
    count = streams_on(fleet, version)
    noun = "stream" if count == 1 else "streams"
    message = f"Version {version} has {count} active {noun} in fleet {fleet.name}"
    return Verdict(passed=passed, reason=Reason.WAITING_FOR_STREAMS, message=message)


def _version_quiet(fleet: Fleet) -> bool:
    """A pod that answers and does not know the version has none of its streams."""
    version = fleet.outgoing.weights.version if fleet.outgoing else ""
    for pod in fleet.live_pods:
        report = _report(pod, version)
        if pod.report is None or (report is not None and report.active_streams):
            return False
    return True


def _quiet(fleet: Fleet) -> bool:
    return all(
        pod.report is not None and pod.report.draining and pod.report.streams.active == 0
        for pod in fleet.live_pods
    )


def _failed(fleet: Fleet, beginning: str = "") -> str:
    """What the first pod says that cannot load the incoming version; empty when none does."""
    version = fleet.incoming.weights.version if fleet.incoming else ""
    for pod in _in_state(fleet, version, {"failed"}):
        report = _report(pod, version)
        said = report.message if report else ""
        if said.startswith(beginning):
            return f"Pod {pod.name} cannot load version {version}: {said}".rstrip(": ")
    return ""


def _in_state(fleet: Fleet, version: str, states: set[str]) -> list[Pod]:
    return [pod for pod in fleet.live_pods if (report := _report(pod, version)) and report.state in states]


def _report(pod: Pod, version: str) -> VersionReport | None:
    return pod.report.version(version) if pod.report else None


def _active_version(pod: Pod) -> str:
    models = pod.report.models.values() if pod.report else ()
    return next((model.active_version for model in models), "")


def _said(fleet: Fleet, version: str) -> str:
    said = [
        f"{pod.name} is {report.doing}"
        for pod in fleet.live_pods
        if (report := _report(pod, version)) and report.state != "ready"
    ]
    return f": {', '.join(said)}" if said else ""
