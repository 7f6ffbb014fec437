"""The gates between ready pods and traffic: golden prompts, and a person's approval. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.actions import Target, Verify
from inference_operator.reasons import Reason
from inference_operator.verbs import approved as approved_by_annotation
from inference_operator.verdicts import Verdict, count
from inference_operator.verification import read_result, subject

if TYPE_CHECKING:
    from datetime import datetime

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.verification import Result


def subject_of(scene: Scene, fleet: Fleet) -> str:
    """Whom a result must speak of to count: the processes that run now, and what they are asked for."""
    processes = ((pod.uid, pod.restarts) for pod in fleet.live_pods)
    return subject(scene.asked, version_of(fleet), processes)


def version_of(fleet: Fleet) -> str:
    """Which version is asked: the one that is being loaded into its pods, else the one that they were made for."""
    return fleet.incoming.weights.version if fleet.incoming else fleet.version


def result_of(scene: Scene, fleet: Fleet) -> Result | None:
    """What these very pods answered; None while they have not."""
    result = read_result(fleet.annotations.get(names.VERIFICATION, ""))
    return result if result and result.subject == subject_of(scene, fleet) else None


def under_way(scene: Scene, fleet: Fleet) -> bool:
    """These very pods are being asked, or were."""
    return fleet.annotations.get(names.VERIFYING) == subject_of(scene, fleet)


def verified(scene: Scene, fleet: Fleet) -> Verdict:
    """Every pod answered every golden prompt as expected."""
    wanted = scene.asked
    if wanted.nothing:
        message = "No golden prompts are asked for"
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)
    if wanted.problem:
        return Verdict(passed=False, reason=Reason.PROMPTS_UNREADABLE, message=wanted.problem)
    result = result_of(scene, fleet)
    if result is None:
        what = count(len(wanted.prompts), "golden prompt") if wanted.prompts else "warm-up requests"
        asked = "is asked" if len(fleet.live_pods) == 1 else "are asked"
        message = f"{count(len(fleet.live_pods), 'pod')} of fleet {fleet.name} {asked} {what}"
        return Verdict(passed=False, reason=Reason.WAITING_FOR_ANSWERS, message=message)
    if result.failed:
        return Verdict(passed=False, reason=Reason.VERIFICATION_FAILED, message=_failures(result))
    message = f"{count(len(wanted.prompts), 'golden prompt')} answered as expected by {count(len(fleet.live_pods), 'pod')}"
    return Verdict(passed=True, reason=Reason.VERIFIED, message=message)


def answered_wrong(scene: Scene, fleet: Fleet) -> Verdict:
    """These very pods failed a golden prompt: no other look will change that."""
    verdict = verified(scene, fleet)
    failed = verdict.reason is Reason.VERIFICATION_FAILED
    message = f"Version {version_of(fleet)} failed its verification: {verdict.message}"
    return Verdict(passed=failed, reason=Reason.VERIFICATION_FAILED, message=message)


def approved(scene: Scene, fleet: Fleet) -> Verdict:
    """Nobody has to be asked, or somebody has said yes to this very revision, or has had time enough to say no."""
    if scene.spec.rollout.auto_promotion:
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message="No approval is asked for")
    if approved_by_annotation(scene):
        message = f"Annotation {names.PROMOTE} names revision {scene.revision}"
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)
    until = approval_ends(scene, fleet)
    if until and scene.observed.now >= until:
        message = f"Nobody objected for {scene.spec.rollout.auto_promotion_seconds} s"
        return Verdict(passed=True, reason=Reason.GATES_PASSED, message=message)
    message = f"spec.rollout.autoPromotion is false, and nobody has approved revision {scene.revision} yet"
    return Verdict(passed=False, reason=Reason.APPROVAL_NEEDED, message=message)


def approval_ends(scene: Scene, fleet: Fleet) -> datetime | None:
    """When it is promoted without an approval; None for never, or when it does not wait for one yet."""
    seconds = scene.spec.rollout.auto_promotion_seconds
    if seconds is None or fleet.awaiting_since is None:
        return None
    return fleet.awaiting_since + timedelta(seconds=seconds)


def order_to_approve(scene: Scene) -> str:
    """What a person types."""
    return annotate(scene, f"{names.PROMOTE}={scene.revision}")


def order_to_abort(scene: Scene) -> str:
    return annotate(scene, f"{names.ABORT}={scene.revision}")


def annotate(scene: Scene, *what: str) -> str:
    """A command line of kubectl."""
    model = scene.observed.model
    return f"kubectl annotate --overwrite im -n {model.namespace} {model.name} {' '.join(what)}"


def verify(scene: Scene, fleet: Fleet) -> Verify:
    """The question itself."""
    return Verify(
        fleet=fleet.name,
        uid=fleet.uid,
        subject=subject_of(scene, fleet),
        served_name=scene.spec.model.served_name or scene.observed.model.name,
        version=version_of(fleet),
        pods=tuple(Target(name=pod.name, ip=pod.ip) for pod in fleet.live_pods),
        asked=scene.asked,
    )


def _failures(result: Result) -> str:
    return "; ".join(f"gate {gate.name}: {gate.message}" for gate in result.failed)
