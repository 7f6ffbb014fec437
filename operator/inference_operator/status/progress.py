"""How far the rollout is, in a sentence that tells a person on call what is waited for and what to do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import gates, judging, names, verifying
from inference_operator.actions import write_time
from inference_operator.reasons import Phase, Reason
from inference_operator.status import begun, blocks
from inference_operator.verdicts import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene

Told = tuple[bool, Reason, str]
"""Whether anything moves, why, and the sentence."""


def progress(scene: Scene, phase: Phase) -> Told:
    """Of a spec that is acted on."""
    return _TELLERS.get(phase, _stable)(scene)


def told_failure(fleet: Fleet) -> tuple[Reason, str]:
    """The reason and the message in the mark of a failed fleet; a hand may have written anything there."""
    reason, _, message = fleet.failed.partition(": ")
    return (Reason(reason) if reason in set(Reason) else Reason.ROLLOUT_FAILED), message


def _preparing(scene: Scene) -> Told:
    preview = scene.roles.preview
    if preview is None:
        return _loading(scene)
    verdict = gates.promotable(scene, preview)
    if verdict.passed:
        return (
            True,
            verdict.reason,
            f"Version {preview.version} is about to get the traffic: {verdict.message}.",
        )
    doing = "called back" if names.RECALLED in preview.annotations else "prepared"
    advice = " Mend it, or take promptsFrom out." if verdict.reason is Reason.PROMPTS_UNREADABLE else ""
    return True, verdict.reason, f"Version {preview.version} is being {doing}: {verdict.message}.{advice}"


def _loading(scene: Scene) -> Told:
    loading = begun.loading(scene)
    if loading is None:
        return _stable(scene)
    version = scene.spec.model.version
    if loading.reason is Reason.APPROVAL_NEEDED:
        message = f"Version {version} is loaded beside the running one and waits for approval. {_how_to_decide(scene)}"
        return True, loading.reason, message
    message = f"Version {version} is being loaded into the running pods: {loading.message}."
    return True, loading.reason, message


def _how_to_decide(scene: Scene) -> str:
    return (
        f"To move the traffic: {verifying.order_to_approve(scene)} . "
        f"To give it up: {verifying.order_to_abort(scene)} ."
    )


def _awaiting(scene: Scene) -> Told:
    preview = scene.roles.preview
    unmet = gates.first_unmet(scene, preview) if preview else None
    if preview is None or unmet is not verifying.approved:
        return _preparing(scene)
    until = verifying.approval_ends(scene, preview)
    unless = f" Without a word it gets the traffic at {write_time(until)}." if until else ""
    message = (
        f"Version {preview.version} is ready on {count(len(preview.ready_pods), 'pod')} and waits for approval. "
        f"{_how_to_decide(scene)}{unless}"
    )
    return True, Reason.APPROVAL_NEEDED, message


def _paused(scene: Scene) -> Told:
    message = (
        f"The rollout of version {scene.spec.model.version} is paused by annotation {names.PAUSE}; "
        f"what serves goes on serving. To go on: {verifying.annotate(scene, names.PAUSE + '-')}"
    )
    return False, Reason.PAUSED, message


def _suspended(scene: Scene) -> Told:
    message = (
        "spec.suspend is true: nothing new begins and no edit reaches the pods; what serves goes on serving and "
        f"what drains goes on draining. Set it to false to have revision {scene.revision} acted on."
    )
    return False, Reason.SUSPENDED, message


def _pending(scene: Scene) -> Told:
    if scene.arrived:
        return _stable(scene)
    return begun.waiting(scene)


def _promoting(scene: Scene) -> Told:
    message = f"Traffic moves to version {scene.spec.model.version}: {begun.moving(scene)}."
    return True, Reason.WAITING_FOR_ENDPOINTS, message


def _analyzing(scene: Scene) -> Told:
    active, end = scene.roles.active, judging.window_end(scene)
    if active is None or end is None:
        return _stable(scene)
    back = (
        f" On a breach the traffic goes back to version {scene.previous.version}." if scene.previous else ""
    )
    message = (
        f"Version {active.version} has the traffic and is watched until {write_time(end)}: "
        f"{judging.reading(active)}.{back}"
    )
    return True, Reason.ANALYZING, message


def _rolling_back(scene: Scene) -> Told:
    failed, previous = scene.failure, scene.previous
    if not scene.condemned or failed is None or previous is None:
        return _preparing(scene)
    why = told_failure(failed)[1].rstrip(". ")
    waits = (
        gates.promotable(scene, scene.roles.preview).message if scene.roles.preview else "it is started again"
    )
    message = f"{why}. Traffic goes back to version {previous.version}: {waits}."
    return True, told_failure(failed)[0], message


def _failed(scene: Scene) -> Told:
    if scene.failure is None:
        verb = names.ABORT if scene.verb(names.ABORT) == scene.revision else names.ROLLBACK
        message = (
            f"Version {scene.spec.model.version} is not rolled out, because annotation {verb} names its revision. "
            f"To have it rolled out: {verifying.annotate(scene, verb + '-')}"
        )
        return False, Reason.ABORTED, message
    reason, why = told_failure(scene.failure)
    return False, reason, f"{why.rstrip('. ')}. {_what_now(scene, scene.failure)}"


def _what_now(scene: Scene, failed: Fleet) -> str:
    active = scene.roles.active
    if active is failed and names.FAILED_REVISION in failed.annotations:
        now = f"Fleet {failed.name} goes on with version {failed.version}"
    elif active is failed:
        now = "It has the traffic still, for no earlier version is kept"
    else:
        now = f"Fleet {failed.name} is stopped" + (f"; version {active.version} serves" if active else "")
    barring = [verb for verb in (names.ABORT, names.ROLLBACK) if scene.verb(verb) == scene.revision]
    again = [f"{names.RETRY}={scene.revision}", *(f"{verb}-" for verb in barring)]
    return f"{now}. Edit the spec to try again, or: {verifying.annotate(scene, *again)}"


def _stable(scene: Scene) -> Told:
    message = f"Version {scene.spec.model.version} is the active one; no rollout is under way."
    if kept := blocks.previous(scene):
        message += f" Version {kept['version']} is kept warm until {kept['keptUntil']}: an edit back to it is a flip."
    return False, Reason.STABLE, message


_TELLERS: dict[Phase, Callable[[Scene], Told]] = {
    Phase.PREPARING: _preparing,
    Phase.VERIFYING: _preparing,
    Phase.AWAITING_APPROVAL: _awaiting,
    Phase.PAUSED: _paused,
    Phase.SUSPENDED: _suspended,
    Phase.PENDING: _pending,
    Phase.PROMOTING: _promoting,
    Phase.ANALYZING: _analyzing,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.FAILED: _failed,
}
