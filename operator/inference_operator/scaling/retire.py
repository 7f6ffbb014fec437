"""How pods of the active fleet leave: out of the endpoints, told to drain, and gone when idle. Pure.

A pod with the order to retire fails its readiness probe, so endpoints let go of it while it still serves; only then is
it told to drain. The Deployment is made smaller when enough pods are done, and takes those, for they cost least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from inference_operator import names
from inference_operator.actions import AnnotatePod, write_time
from inference_operator.gates import LINGER, SECOND_LOOK
from inference_operator.observed import Fleet, Pod, read_time
from inference_operator.roles import Scene

LEAVING, DONE = "-1000", "-2000"
"""Deletion costs: the Deployment's controller takes the lowest first."""
_MARKS = (names.RETIRE, names.DRAIN, names.IDLE_SINCE, names.DELETION_COST)


@dataclass(frozen=True, slots=True)
class Retirement:
    actions: tuple[AnnotatePod, ...]
    begun: tuple[str, ...]
    """Pods that get the order now."""
    done: int
    """How much smaller the fleet may be made now."""


def retire(scene: Scene, fleet: Fleet, size: int) -> Retirement:
    """On the way from the fleet's size down to `size`."""
    unborn = max(fleet.replicas - len(fleet.live_pods), 0)
    count = max(fleet.replicas - size - unborn, 0)
    chosen = sorted(fleet.live_pods, key=_worth)[:count]
    steps = [(pod, _next(scene, pod)) for pod in chosen]
    stay = [pod for pod in fleet.live_pods if pod not in chosen]
    done = sum(_done(scene, pod) for pod in chosen) + min(unborn, fleet.replicas - size)
    return Retirement(
        actions=(*take_back(stay), *(_mark(pod, marks) for pod, marks in steps if marks)),
        begun=tuple(pod.name for pod in chosen if names.RETIRE not in pod.annotations),
        done=done,
    )


def take_back(pods: list[Pod] | tuple[Pod, ...]) -> Iterator[AnnotatePod]:
    """These stay after all."""
    for pod in pods:
        if names.RETIRE in pod.annotations:
            yield _mark(pod, {mark: None for mark in _MARKS if mark in pod.annotations})


def retiring(fleet: Fleet) -> tuple[Pod, ...]:
    return tuple(pod for pod in fleet.live_pods if names.RETIRE in pod.annotations)


def _worth(pod: Pod) -> tuple[bool, bool, float, str]:
    """Who is on the way out goes on; then pods that serve nobody, then those with the fewest streams."""
    streams = float(pod.report.streams.active) if pod.report else (0.0 if _dead(pod) else float("inf"))
    return names.RETIRE not in pod.annotations, pod.ready, streams, pod.name


def _next(scene: Scene, pod: Pod) -> Mapping[str, str | None]:
    """What is to be written on it now; nothing while it waits."""
    now = write_time(scene.observed.now)
    marks, idle = pod.annotations, _idle(pod)
    if names.RETIRE not in marks:
        return {names.RETIRE: now, names.DELETION_COST: LEAVING}
    if _overdue(scene, pod) or _dead(pod):
        return {} if marks.get(names.DELETION_COST) == DONE else {names.DELETION_COST: DONE}
    if names.DRAIN not in marks:
        listed = pod.uid in scene.observed.ready_endpoints(names.active_service(scene.observed.model.name))
        return {} if listed else {names.DRAIN: now}
    if idle and names.IDLE_SINCE not in marks:
        return {names.IDLE_SINCE: now, names.DELETION_COST: DONE}
    if not idle and names.IDLE_SINCE in marks:
        return {names.IDLE_SINCE: None, names.DELETION_COST: LEAVING}
    return {}


def _done(scene: Scene, pod: Pod) -> bool:
    """Two observations found no stream and late requests had time to arrive; or its time is up, or it never ran."""
    marks, now = pod.annotations, scene.observed.now
    if names.RETIRE not in marks or marks.get(names.DELETION_COST) != DONE:
        return False
    since, told = read_time(marks.get(names.IDLE_SINCE, "")), read_time(marks.get(names.DRAIN, ""))
    twice = since is not None and now >= since + SECOND_LOOK
    lingered = told is not None and now >= told + LINGER
    return _overdue(scene, pod) or _dead(pod) or (twice and lingered and _idle(pod))


def _overdue(scene: Scene, pod: Pod) -> bool:
    told = read_time(pod.annotations.get(names.RETIRE, ""))
    seconds = scene.spec.rollout.drain_timeout_seconds
    return told is not None and scene.observed.now >= told + timedelta(seconds=seconds)


def _idle(pod: Pod) -> bool:
    return pod.report is not None and pod.report.draining and pod.report.streams.active == 0


def _dead(pod: Pod) -> bool:
    """No process runs in it that could have a stream."""
    return not pod.ready and pod.report is None and (not pod.ip or pod.waiting is not None)


def _mark(pod: Pod, marks: Mapping[str, str | None]) -> AnnotatePod:
    return AnnotatePod(pod=pod.name, uid=pod.uid, annotations=marks)
