"""How a fleet for the wanted revision comes to be: kept, made anew, called back, sized. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.reasons import Reason
from inference_operator.strategy import Strategy, choose
from inference_operator.verdicts import Verdict

if TYPE_CHECKING:
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene


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
