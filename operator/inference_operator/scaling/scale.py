"""The size of the active fleet: raised at once, lowered by pods that have nothing left to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from inference_operator import names
from inference_operator.actions import AnnotatePod, Event
from inference_operator.observed import Fleet
from inference_operator.reasons import Reason
from inference_operator.roles import Scene
from inference_operator.scaling.demand import Demand, decide, load_of, read_low, recommend
from inference_operator.scaling.retire import retire, retiring, take_back
from inference_operator.spec.live import Autoscaling
from inference_operator.verdicts import count

RETIRING = 1.0
PERIOD = 15.0
"""HPA's default between two looks at the load, in seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """What to write on the active fleet and its pods."""

    replicas: int | None = None
    marks: Mapping[str, str | None] = field(default_factory=dict)
    pods: tuple[AnnotatePod, ...] = ()
    events: tuple[Event, ...] = ()


def scale(scene: Scene) -> Scaling:
    """Nothing while the traffic is on the move, or the fleet makes way."""
    fleet = scene.roles.active
    if fleet is None or not scene.roles.routed or scene.recreating or scene.flipping:
        return Scaling()
    demand = _demand(scene, fleet)
    marks = _marks(scene, fleet, demand)
    if demand.pods > fleet.replicas:
        why = _load(scene, fleet)
        return Scaling(
            replicas=demand.pods,
            marks=marks,
            pods=tuple(take_back(fleet.live_pods)),
            events=(
                _event(
                    f"Fleet {fleet.name} grows from {fleet.replicas} to {count(demand.pods, 'pod')}{why}."
                ),
            ),
        )
    if demand.pods == fleet.replicas:
        return Scaling(marks=marks, pods=tuple(take_back(fleet.live_pods)))
    return _shrink(scene, fleet, demand.pods, marks)


def _shrink(scene: Scene, fleet: Fleet, size: int, marks: Mapping[str, str | None]) -> Scaling:
    leaving = retire(scene, fleet, size)
    events = []
    if leaving.begun:
        pods, why = ", ".join(leaving.begun), _load(scene, fleet)
        events.append(
            _event(
                f"Fleet {fleet.name} shrinks to {count(size, 'pod')}{why}. Told to finish their streams and leave: {pods}."
            )
        )
    if leaving.done:
        events.append(_event(f"Fleet {fleet.name} has {count(fleet.replicas - leaving.done, 'pod')} now."))
    return Scaling(
        replicas=fleet.replicas - leaving.done if leaving.done else None,
        marks=marks,
        pods=leaving.actions,
        events=tuple(events),
    )


def _demand(scene: Scene, fleet: Fleet) -> Demand:
    """By the load with an autoscaler of our own, else by the spec. 0 in the spec always means none."""
    wanted = _built_in(scene)
    if wanted is None:
        return Demand(scene.size)
    current = scene.size
    within = min(max(current, wanted.min_replicas), wanted.max_replicas)
    if within != current or not fleet.replicas:
        return Demand(within)
    asked = recommend(*load_of(fleet), current, wanted)
    if scene.rolling_out:
        return Demand(max(asked, fleet.replicas))
    window = timedelta(seconds=wanted.scale_down_stabilization_seconds)
    low = read_low(fleet.annotations.get(names.LOW_SINCE, ""))
    return decide(scene.observed.now, current, asked, low, window)


def _marks(scene: Scene, fleet: Fleet, demand: Demand) -> dict[str, str | None]:
    """`scale-to` while pods are on their way out for an autoscaler of our own; and its window."""
    shrinks = _built_in(scene) is not None and demand.pods < fleet.replicas
    wanted = {
        names.SCALE_TO: str(demand.pods) if shrinks else None,
        names.LOW_SINCE: demand.low.written() if demand.low else None,
    }
    return {mark: value for mark, value in wanted.items() if fleet.annotations.get(mark) != value}


def _built_in(scene: Scene) -> Autoscaling | None:
    wanted = scene.spec.autoscaling
    return wanted if wanted and not wanted.external and scene.spec.replicas else None


def _load(scene: Scene, fleet: Fleet) -> str:
    """Why, for people."""
    wanted = _built_in(scene)
    if wanted is None:
        return ""
    streams, _ = load_of(fleet)
    return f" for {streams} active streams at {wanted.target_active_streams} a pod"


def _event(message: str) -> Event:
    return Event(type="Normal", reason=Reason.SCALED, message=message)


def recheck(scene: Scene) -> float | None:
    """Seconds until the pods are to be asked again; None when sizes follow from the spec alone."""
    fleet = scene.roles.active
    if fleet is None:
        return None
    if retiring(fleet) or fleet.replicas > scene.size:
        return RETIRING
    return PERIOD if _built_in(scene) else None
