"""Rounds of the planner against a world in which all goes well, until nothing is left to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inference_operator.actions import Action
from inference_operator.errors import InvalidSpec
from inference_operator.forecast.changes import Change, changes
from inference_operator.forecast.world import World, expecting
from inference_operator.observed import Observed
from inference_operator.plan import plan
from inference_operator.reasons import Phase
from inference_operator.roles import cast_roles
from inference_operator.spec import Spec, parse, revision

IDLE_ROUNDS = 60
"""Rounds without any action after which nothing more will happen by itself."""
MOST_ROUNDS = 2000
REFUSED = (Phase.INVALID, Phase.CONFLICT)
_LONGEST = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One run of the planner that did something."""

    step: str
    """Of the rollout's table; empty where children were kept right and no more."""
    message: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    model: str
    """`namespace/name`."""
    changed: tuple[Change, ...]
    before: str
    """The revision asked for so far, or the one that serves where that makes no sense; empty before there is any."""
    after: str
    """The revision asked for; empty when the spec makes no sense."""
    rounds: tuple[Round, ...]
    status: Mapping[str, Any]
    """At the end."""

    @property
    def refused(self) -> str:
        """Why the spec would not be acted on; empty when it would."""
        return self.said("Ready") if self.status["phase"] in REFUSED else ""

    @property
    def rolls(self) -> bool:
        """Pods would be started for a revision that had none."""
        return not self.refused and self.before != self.after

    def said(self, condition: str) -> str:
        found = (each["message"] for each in self.status["conditions"] if each["type"] == condition)
        return str(next(found))


def forecast(observed: Observed, wanted: Mapping[str, Any]) -> Forecast:
    """What the operator would do if the observed model's spec became `wanted`. Raises InvalidSpec of `wanted`."""
    after, before = parse(wanted), _readable(observed)
    changed = changes(before, after)
    generation = observed.model.generation + (before is None or bool(changed))
    asked = replace(observed.model, spec=wanted, generation=generation)
    rounds, status = _run(World(expecting(replace(observed, model=asked), after)))
    return Forecast(
        model=f"{asked.namespace}/{asked.name}",
        changed=changed,
        before=revision(before) if before else _served(observed),
        after=revision(after),
        rounds=rounds,
        status=status,
    )


def settled(observed: Observed, spec: Spec) -> Observed:
    """The same model after all that its present spec asks for was done."""
    world = World(expecting(observed, spec))
    _run(world)
    return world.observe()


def _readable(observed: Observed) -> Spec | None:
    """The spec as it is; None before there is one, and when it makes no sense."""
    try:
        return parse(observed.model.spec) if observed.model.spec else None
    except InvalidSpec:
        return None


def _served(observed: Observed) -> str:
    active = cast_roles(observed, None).active
    return active.revision if active else ""


def _run(world: World) -> tuple[tuple[Round, ...], Mapping[str, Any]]:
    rounds: list[Round] = []
    status: Mapping[str, Any] = {}
    idle = 0
    for _ in range(MOST_ROUNDS):
        made = plan(world.observe())
        actions = (*made.actions, *([made.route] if made.route else []))
        for action in actions:
            world.act(action)
        world.report(made.status)
        status = made.status or status
        if actions:
            message = made.events[0].message if made.step else ""
            rounds.append(Round(step=made.step, message=message, actions=actions))
        idle = 0 if actions else idle + 1
        if idle > IDLE_ROUNDS or (idle and made.recheck_after is None):
            break
        world.pass_time(min(_LONGEST, (made.recheck_after or 1.0) * 2.0 ** (idle // 10)))
    return tuple(rounds), status
