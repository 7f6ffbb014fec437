"""Steps between a fleet that is up and one that has the traffic, or has lost its chance. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import names, verifying
from inference_operator.actions import Flip, write_time
from inference_operator.marks import gone, patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.actions import Action
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.rollout import Taken


def verify(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    question = verifying.verify(scene, fleet)
    yield patch(fleet, {names.VERIFYING: question.subject})
    yield question


def await_approval(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield patch(fleet, {names.AWAITING_SINCE: write_time(scene.observed.now)})


def promote(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield patch(fleet, {names.PROMOTING: write_time(scene.observed.now)})
    yield from _flip(scene, fleet)


def restore(scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield from _flip(scene, fleet)


def _flip(scene: Scene, fleet: Fleet) -> Iterator[Action]:
    """The Service as observed. When it is only being created in this round, the next round flips."""
    name = names.active_service(scene.observed.model.name)
    service = scene.observed.child("Service", name)
    if service is not None:
        yield Flip(
            service=name,
            resource_version=service.resource_version,
            expect=dict(service.selector),
            selector=names.fleet_selector(scene.observed.model.name, fleet.name),
        )


def fail(scene: Scene, fleet: Fleet, taken: Taken) -> Iterator[Action]:
    """One that was about to be promoted may have streams: it leaves as others do, and is not stopped here."""
    marks = _failure(scene, taken)
    yield patch(fleet, marks, replicas=None if names.PROMOTING in fleet.annotations else 0)


def condemn(scene: Scene, fleet: Fleet, taken: Taken) -> Iterator[Action]:
    """It keeps the traffic until its predecessor takes it."""
    yield patch(fleet, _failure(scene, taken))


def _failure(scene: Scene, taken: Taken) -> dict[str, str | None]:
    marks: dict[str, str | None] = {
        names.FAILED: f"{taken.verdict.reason}: {taken.verdict.message}"[:1024],
        names.FAILED_AT: write_time(scene.observed.now),
        names.FAILED_ASK: scene.ask,
    }
    if used := scene.verb(names.RETRY):
        marks[names.RETRIED] = used
    return marks


def retry(_scene: Scene, fleet: Fleet, _taken: Taken) -> Iterator[Action]:
    yield patch(fleet, gone(fleet, names.FAILED_ASK))
