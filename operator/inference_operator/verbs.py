"""What a person orders by annotation: promote, abort, retry, rollback, pause, each naming the revision it means. Pure.

An order holds as long as its annotation stands: this operator never writes to the model's metadata. One that names
a revision that it could not act on does nothing, and the status says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.reasons import Reason
from inference_operator.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene


@dataclass(frozen=True, slots=True)
class Order:
    """One verb as it stands on the model."""

    verb: str
    """Without the group."""
    revision: str
    heeded: bool
    """It is acted on, or was."""
    message: str


def approved(scene: Scene) -> bool:
    return scene.verb(names.PROMOTE) == scene.revision


def aborted(scene: Scene) -> bool:
    """The wanted revision is not to be rolled out any further. One that has the traffic is beyond this."""
    return scene.verb(names.ABORT) == scene.revision and not _active(scene, scene.revision)


def barred(scene: Scene) -> bool:
    """Nobody may begin the wanted revision while an order against it stands."""
    against = (scene.verb(names.ABORT), scene.verb(names.ROLLBACK))
    return scene.revision in against and not _active(scene, scene.revision)


def paused(scene: Scene) -> bool:
    """The rollout of the wanted revision takes no step. It holds nobody back who goes back to the previous one."""
    return scene.verb(names.PAUSE) == scene.revision and not _active(scene, scene.revision)


def abort_asked(scene: Scene, fleet: Fleet) -> Verdict:
    """A person wants the rollout of this fleet's revision ended."""
    message = f"Annotation {names.ABORT} ends the rollout of version {fleet.version}"
    passed = aborted(scene) and fleet.revision == scene.revision
    return Verdict(passed=passed, reason=Reason.ABORTED, message=message)


def rollback_asked(scene: Scene, fleet: Fleet) -> Verdict:
    """A person wants the active revision gone, and there is one to go back to."""
    previous = scene.previous
    where = f"version {previous.version}" if previous else "nothing, for no earlier version is kept"
    message = f"Annotation {names.ROLLBACK} takes version {fleet.version} back to {where}"
    asked = scene.verb(names.ROLLBACK) == fleet.revision == scene.revision
    passed = asked and previous is not None and not scene.condemned
    return Verdict(passed=passed, reason=Reason.ROLLED_BACK, message=message)


def retry_asked(scene: Scene, fleet: Fleet) -> Verdict:
    """A person wants what failed tried once more. The annotation that stood when it failed is used up."""
    used = fleet.annotations.get(names.RETRIED) == scene.revision
    passed = scene.verb(names.RETRY) == scene.revision and not used and not barred(scene)
    message = f"Annotation {names.RETRY} has version {fleet.version} tried again"
    return Verdict(passed=passed, reason=Reason.RETRIED, message=message)


def orders(scene: Scene) -> tuple[Order, ...]:
    """Every verb that stands on the model, and what becomes of it."""
    return tuple(_orders(scene))


def _orders(scene: Scene) -> Iterator[Order]:
    for name in names.VERBS:
        if revision := scene.verb(name):
            heeded, message = _READERS[name](scene, revision)
            yield Order(name.partition("/")[2], revision, heeded, message)


def _promote(scene: Scene, revision: str) -> tuple[bool, str]:
    if _active(scene, revision):
        return True, "It has the traffic."
    if revision != scene.revision:
        return _done(scene, revision, _promoted) or _other(scene)
    if barred(scene) or scene.failure:
        return False, "Its rollout has ended without success; it gets no traffic unless it is retried."
    return True, "It gets the traffic as soon as every gate is passed."


def _abort(scene: Scene, revision: str) -> tuple[bool, str]:
    if _active(scene, revision):
        return False, f"It has the traffic already; to leave it, write {names.ROLLBACK}={revision}."
    if revision != scene.revision:
        return _done(scene, revision, _failed) or _other(scene)
    return True, "It is not rolled out while this stands."


def _rollback(scene: Scene, revision: str) -> tuple[bool, str]:
    if _active(scene, revision) and revision == scene.revision:
        if scene.condemned:
            return True, "Its predecessor gets the traffic back."
        return False, "No earlier version is kept that could have the traffic."
    if revision == scene.revision:
        return True, "It is not rolled out while this stands."
    if _active(scene, revision):
        return False, "The spec asks for another revision already, which is on its way."
    return _done(scene, revision, _failed) or (
        False,
        f"It is not the active revision{_which(scene)}; name the one to leave, not the one to go to.",
    )


def _retry(scene: Scene, revision: str) -> tuple[bool, str]:
    if revision != scene.revision:
        return _other(scene)
    if barred(scene):
        return False, f"{names.ABORT} or {names.ROLLBACK} names it too; take that off first."
    failure = scene.failure
    if failure and failure.annotations.get(names.RETRIED) == revision:
        return False, "It stood already when the revision failed; take it off and put it on again."
    return True, "It is tried again." if failure else "It is under way or serves."


def _pause(scene: Scene, revision: str) -> tuple[bool, str]:
    if _active(scene, revision):
        return False, "It has the traffic already: there is nothing to pause."
    if revision != scene.revision:
        return _other(scene)
    return True, "Its rollout takes no step while this stands."


_READERS: dict[str, Callable[[Scene, str], tuple[bool, str]]] = {
    names.PROMOTE: _promote,
    names.ABORT: _abort,
    names.RETRY: _retry,
    names.ROLLBACK: _rollback,
    names.PAUSE: _pause,
}


def _other(scene: Scene) -> tuple[bool, str]:
    return False, f"It is not the revision that the spec asks for now, which is {scene.revision}."


def _done(scene: Scene, revision: str, how: Callable[[Fleet], bool]) -> tuple[bool, str] | None:
    """It was acted on in its time; None when there is no sign of that."""
    known = any(fleet.revision == revision and how(fleet) for fleet in scene.observed.fleets)
    return (True, "It was done.") if known else None


def _promoted(fleet: Fleet) -> bool:
    return fleet.promoted_at is not None


def _failed(fleet: Fleet) -> bool:
    return bool(fleet.failed)


def _active(scene: Scene, revision: str) -> bool:
    return scene.roles.active is not None and scene.roles.active.revision == revision


def _which(scene: Scene) -> str:
    return f", which is {scene.roles.active.revision}" if scene.roles.active else ""
