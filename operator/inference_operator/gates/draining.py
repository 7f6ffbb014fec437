"""How a fleet ends its streams, and when it may stop. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.keeping import is_kept, kept_until
from inference_operator.reasons import Reason
from inference_operator.verdicts import Verdict, count, pod_names

if TYPE_CHECKING:
    from inference_operator.observed import Fleet, Pod
    from inference_operator.roles import Scene


LINGER = timedelta(seconds=6)
"""A drained fleet stays at least this long after the order: pods serve latecomers for 5 s, while endpoints lag."""
SECOND_LOOK = timedelta(seconds=2)
"""Between the two observations that must both find no stream. Marks have whole seconds, so at least 1 s passes."""


def pods_untold(_scene: Scene, fleet: Fleet) -> Verdict:
    """A pod of a draining fleet, born after the order perhaps, has no order of its own."""
    untold = untold_pods(fleet)
    message = f"Pods without a drain order: {pod_names(untold)}"
    return Verdict(passed=bool(untold), reason=Reason.DRAIN_ORDERED, message=message)


def untold_pods(fleet: Fleet) -> tuple[Pod, ...]:
    return tuple(pod for pod in fleet.live_pods if names.DRAIN not in pod.annotations)


def streams_gone(_scene: Scene, fleet: Fleet) -> Verdict:
    """Seen for the first time: every pod drains and has no stream. A pod that cannot be asked is unknown, not idle."""
    return _verdict_on_streams(fleet, passed=_idle(fleet) and fleet.drained_at is None)


def streams_back(_scene: Scene, fleet: Fleet) -> Verdict:
    """It had been seen without streams and now has some, or cannot be asked."""
    return _verdict_on_streams(fleet, passed=not _idle(fleet) and names.DRAINED_AT in fleet.annotations)


def drained(scene: Scene, fleet: Fleet) -> Verdict:
    """Two observations found no stream, and late requests had time to arrive."""
    now, since, told = scene.observed.now, fleet.drained_at, fleet.drain_started
    twice = since is not None and now >= since + SECOND_LOOK
    lingered = told is not None and now >= told + LINGER
    done = _idle(fleet) and twice and lingered
    return _verdict_on_streams(fleet, passed=done and not is_kept(scene, fleet))


def drain_overdue(scene: Scene, fleet: Fleet) -> Verdict:
    """The drain timeout has passed."""
    deadline = drain_deadline(scene, fleet)
    left = (
        f"{count(streams(fleet), 'stream')} left" if _all_known(fleet) else "some of its pods cannot be asked"
    )
    return Verdict(
        passed=deadline is not None and scene.observed.now >= deadline,
        reason=Reason.DRAIN_DEADLINE_EXCEEDED,
        message=f"Fleet {fleet.name} had {scene.spec.rollout.drain_timeout_seconds} s to drain: {left}",
    )


def drain_deadline(scene: Scene, fleet: Fleet) -> datetime | None:
    """A fleet that is kept warm anyway has until then."""
    deadline = deadline_of(scene, fleet.drain_started)
    return max(deadline, kept_until(scene, fleet) or deadline) if deadline else None


def deadline_of(scene: Scene, told: datetime | None) -> datetime | None:
    """When what was told to drain then is stopped whatever it does; None while it was not told."""
    return told + timedelta(seconds=scene.spec.rollout.drain_timeout_seconds) if told else None


def streams(fleet: Fleet) -> int:
    """Active streams, of the pods that could be asked."""
    return sum(pod.report.streams.active for pod in fleet.live_pods if pod.report)


def _idle(fleet: Fleet) -> bool:
    return all(
        pod.report is not None and pod.report.draining and pod.report.streams.active == 0
        for pod in fleet.live_pods
    )


def _all_known(fleet: Fleet) -> bool:
    return all(pod.report is not None for pod in fleet.live_pods)


def _verdict_on_streams(fleet: Fleet, *, passed: bool) -> Verdict:
    silent = [pod for pod in fleet.live_pods if pod.report is None]
    message = f"Fleet {fleet.name} (version {fleet.version}) has {count(streams(fleet), 'active stream')}"
    if silent:
        message += f"; unknown, because they do not answer: {pod_names(silent)}"
    return Verdict(passed=passed, reason=Reason.WAITING_FOR_STREAMS, message=message)
