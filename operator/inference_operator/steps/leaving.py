"""Steps of a fleet on its way out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.actions import AnnotatePod, Delete, write_time
from inference_operator.gates import untold_pods
from inference_operator.marks import gone, patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.actions import Action
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.rollout import Taken


def order_drain(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    now = write_time(scene.observed.now)
    yield patch(fleet, gone(fleet, names.RECALLED) | {names.DRAIN_STARTED: now})
    yield from tell_pods(scene, fleet, _taken)


def tell_pods(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    order = {names.DRAIN: write_time(scene.observed.now)}
    for pod in untold_pods(fleet):
        yield AnnotatePod(pod=pod.name, uid=pod.uid, annotations=order)


def stop(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield patch(fleet, {}, replicas=0)


def mark_drained(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield patch(fleet, {names.DRAINED_AT: write_time(scene.observed.now)})


def unmark_drained(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield patch(fleet, {names.DRAINED_AT: None})


def forget(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield Delete(kind="Deployment", name=fleet.name, uid=fleet.uid)
