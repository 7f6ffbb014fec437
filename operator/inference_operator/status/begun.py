"""What the status says of how a rollout is done: the strategy and why, and how far a swap in place is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import gates
from inference_operator.actions import write_time
from inference_operator.in_place import gates as within
from inference_operator.observed import read_time
from inference_operator.reasons import Reason
from inference_operator.strategy import Strategy, choose

if TYPE_CHECKING:
    from datetime import datetime

    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.verdicts import Verdict


def way(scene: Scene) -> dict[str, Any]:
    """For status.target: `strategy`, left out while none is begun or can be, and `message`."""
    if scene.failure is not None:
        return {}
    choice = choose(scene)
    strategy = {} if choice.strategy is None else {"strategy": str(choice.strategy)}
    return strategy | ({"message": choice.message} if choice.message else {})


def waiting(scene: Scene) -> tuple[bool, Reason, str]:
    """Of a rollout that has no pods yet: whether it progresses, and what it waits for."""
    version, choice = scene.spec.model.version, choose(scene)
    if choice.strategy is None:
        return False, choice.reason, f"Version {version} is not begun. {choice.message}."
    active = scene.roles.active
    if choice.strategy is Strategy.RECREATE and active:
        drain = gates.streams_gone(scene, active).message
        return (
            True,
            Reason.DRAINING,
            f"Version {version} waits until version {active.version} has gone: {drain}.",
        )
    return True, Reason.ROLLOUT_STARTING, f"Version {version} is about to be prepared."


def loading(scene: Scene) -> Verdict | None:
    """How far the version is that is being swapped in; None when none is."""
    active = scene.roles.active
    if active is None or active.incoming is None:
        return None
    return within.incoming_ready(scene, active)


def moving(scene: Scene) -> str:
    """How far the traffic has moved to the version that was promoted last."""
    active = scene.roles.active
    if active and active.outgoing and not scene.roles.leaving:
        return within.work_moved(scene, active).message
    return gates.endpoints_verified(scene, scene.roles.leaving[0]).message


def outgoing(scene: Scene) -> tuple[Fleet, str, datetime | None] | None:
    """The fleet that finishes streams on an older version, what is left of them, and until when."""
    active = scene.roles.active
    if active is None or active.outgoing is None:
        return None
    message = within.outgoing_idle(scene, active).message
    began = read_time(active.outgoing.drain_started)
    return active, message, gates.deadline_of(scene, began)


def target(scene: Scene) -> dict[str, Any]:
    """For status.target, while a version is loaded into the active fleet."""
    active, verdict = scene.roles.active, loading(scene)
    if active is None or active.incoming is None or verdict is None:
        return {}
    began = read_time(active.incoming.started_at)
    gate = {
        "name": "incoming-ready",
        "passed": verdict.passed,
        "reason": str(verdict.reason),
        "message": verdict.message,
    }
    started = {"startedAt": write_time(began)} if began else {}
    return {"fleet": active.name, **started, "gates": [gate]}


def draining(scene: Scene) -> dict[str, Any] | None:
    """For status.draining: the older version inside the active fleet."""
    found = outgoing(scene)
    if found is None:
        return None
    fleet, _, deadline = found
    weights = fleet.outgoing.weights if fleet.outgoing else None
    entry: dict[str, Any] = {
        "fleet": fleet.name,
        "version": weights.version if weights else "",
        "activeStreams": within.streams_on(fleet, weights.version if weights else ""),
    }
    return entry | ({"deadline": write_time(deadline)} if deadline else {})
