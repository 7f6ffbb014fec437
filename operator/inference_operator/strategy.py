"""How to get from the active revision to the wanted one: beside it, in its place, or after it. Pure.

The choice is made once, when a rollout begins; from then on marks on the fleets tell what was begun, so a cluster
that fills or empties in mid-way changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inference_operator import manifests, names
from inference_operator.errors import InvalidSpec
from inference_operator.observed import Fleet, Observed
from inference_operator.reasons import Reason
from inference_operator.roles import Scene, set_scene
from inference_operator.room import Fit, fit
from inference_operator.spec import mold, parse


class Strategy(StrEnum):
    BLUE_GREEN = "BlueGreen"
    IN_PLACE = "InPlace"
    RECREATE = "Recreate"


@dataclass(frozen=True, slots=True)
class Choice:
    strategy: Strategy | None
    """None: the rollout waits, and `message` says for what."""
    message: str
    reason: Reason = Reason.STRATEGY_CHOSEN

    @property
    def mark(self) -> str:
        """As it is written on the fleet."""
        return f"{self.strategy}: {self.message}"


def choose(scene: Scene) -> Choice:
    """What was begun goes on; else what the spec asks for, and with Auto what the cluster has room for."""
    return begun(scene) or _asked(scene)


def begun(scene: Scene) -> Choice | None:
    """The strategy of the rollout that is under way."""
    active = scene.roles.active
    if preview := scene.roles.preview:
        return _read(preview.annotations.get(names.STRATEGY, ""))
    if active and active.incoming and active.incoming.revision == scene.revision:
        return Choice(Strategy.IN_PLACE, active.incoming.why)
    if scene.recreating:
        return Choice(Strategy.RECREATE, "it was asked for")
    return None


def asks_for_room(observed: Observed) -> bool:
    """Whether the next plan would look at what is free in the cluster: a second fleet may be about to begin."""
    try:
        scene = set_scene(observed, parse(observed.model.spec))
    except InvalidSpec:
        return False
    rollout = scene.spec.rollout
    looks = rollout.preflight != "Skip" and rollout.strategy in {"Auto", Strategy.BLUE_GREEN}
    waits = not scene.arrived and scene.failure is None and begun(scene) is None
    return looks and waits and _serves(scene)


def _asked(scene: Scene) -> Choice:
    active = scene.roles.active
    wanted: str = scene.spec.rollout.strategy
    if active is None or not _serves(scene):
        return Choice(Strategy.BLUE_GREEN, "nothing runs that it would have to stand beside")
    if wanted == Strategy.RECREATE:
        return Choice(Strategy.RECREATE, "it was asked for")
    if wanted == Strategy.IN_PLACE:
        bar = not_in_place(scene, active)
        if bar:
            return Choice(None, f"Strategy InPlace is not possible here: {bar}", Reason.NOT_IN_PLACE)
        return Choice(Strategy.IN_PLACE, "it was asked for")
    return _by_room(scene, active, auto=wanted == "Auto")


def _by_room(scene: Scene, active: Fleet, *, auto: bool) -> Choice:
    """BlueGreen where a second fleet fits, or nobody can tell; with Auto else InPlace; else wait."""
    found = _fit(scene)
    if found is None or found.fits:
        known = "there is room for a second fleet" if found else "whether there is room is not known"
        return Choice(Strategy.BLUE_GREEN, known)
    if found.more_nodes_help:
        return Choice(Strategy.BLUE_GREEN, f"nodes come for pods that wait; now {found.lacks}")
    if going := _making_room(scene):
        message = f"There is no room for a second fleet yet, and {', '.join(going)} makes some: {found.lacks}"
        return Choice(None, message, Reason.WAITING_FOR_ROOM)
    bar = not_in_place(scene, active)
    if auto and not bar:
        return Choice(Strategy.IN_PLACE, f"there is no room for a second fleet: {found.lacks}")
    if scene.spec.rollout.preflight == "Warn":
        return Choice(Strategy.BLUE_GREEN, f"there seems to be no room for a second fleet: {found.lacks}")
    instead = f"; nor is InPlace possible: {bar}" if auto else ""
    message = f"There is no room for a second fleet: {found.lacks}{instead}"
    return Choice(None, message, Reason.WAITING_FOR_ROOM)


def _making_room(scene: Scene) -> list[str]:
    """Fleets of this model whose pods are on their way out."""
    gone = [fleet for fleet in scene.roles.resting if fleet.pods]
    return [fleet.name for fleet in (*scene.roles.leaving, *gone)]


def not_in_place(scene: Scene, active: Fleet) -> str:
    """Why the wanted version cannot be loaded into the pods of the active fleet; empty when it can."""
    held, wanted = active.weights, scene.spec.model
    if held is None or names.MOLD not in active.annotations:
        return f"fleet {active.name} was made by an operator that knew no swap in place"
    if active.annotations[names.MOLD] != mold(scene.spec):
        return "besides the version something changes that needs new pods (spec.server, spec.gpu, servedName, cache, a secret or a claim)"
    if held.version == wanted.version:
        return (
            f"the version stays {wanted.version}, and pods tell versions apart by that; give this one another"
        )
    return ""


def _serves(scene: Scene) -> bool:
    """Pods run that a second fleet would stand beside."""
    active = scene.roles.active
    return active is not None and active.replicas > 0


def _fit(scene: Scene) -> Fit | None:
    """None: not known."""
    if scene.observed.room is None or scene.spec.rollout.preflight == "Skip":
        return None
    model, spec = scene.observed.model, scene.spec
    pod = manifests.pod_spec(model.name, spec, fleet=model.name, default_image=scene.observed.default_image)
    return fit(scene.observed.room, pod, scene.preview_size)


def _read(mark: str) -> Choice:
    """A fleet without a readable mark was begun by an operator that knew one strategy."""
    strategy, _, message = mark.partition(": ")
    known = Strategy(strategy) if strategy in set(Strategy) else Strategy.BLUE_GREEN
    return Choice(known, message)
