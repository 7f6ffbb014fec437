"""How many pods the load asks for. Pure.

The algorithm is that of Kubernetes' HorizontalPodAutoscaler: desired = ceil(load / target of one pod), no change within
a tolerance, a bounded step up at once, and down only to the highest that was asked for during a stabilisation window.
The window's memory is a mark on the fleet: when the load fell, and the highest since.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from inference_operator.actions import write_time
from inference_operator.observed import Fleet, read_time
from inference_operator.spec.live import Autoscaling

TOLERANCE = 0.1
"""Share by which load may differ from the target before anything changes; HPA's default."""
FASTEST = 2
AT_LEAST = 4
"""One step up at most doubles the pods, or adds this many; HPA's default."""


@dataclass(frozen=True, slots=True)
class Low:
    """Less was asked for than there is, since then; and the highest that was asked for in that time."""

    since: datetime
    highest: int

    def written(self) -> str:
        return f"{write_time(self.since)} {self.highest}"


@dataclass(frozen=True, slots=True)
class Demand:
    pods: int
    low: Low | None = None


def read_low(text: str) -> Low | None:
    """None for what is no such mark."""
    when, _, highest = text.partition(" ")
    since = read_time(when)
    return Low(since, int(highest)) if since and highest.isdecimal() else None


def load_of(fleet: Fleet) -> tuple[int, int]:
    """Active streams, queued ones among them; and how many ready pods could not be asked."""
    reports = [pod.report for pod in fleet.live_pods]
    silent = sum(pod.ready and pod.report is None for pod in fleet.live_pods)
    return sum(report.streams.active for report in reports if report), silent


def recommend(load: int, silent: int, current: int, wanted: Autoscaling) -> int:
    """Pods for this load, within the bounds. A silent pod counts as full for going down and as idle for going up."""
    target = wanted.target_active_streams
    least, most = load / target, (load + silent * target) / target
    if least > current * (1 + TOLERANCE):
        asked = min(math.ceil(least), max(current * FASTEST, current + AT_LEAST))
    elif most < current * (1 - TOLERANCE):
        asked = math.ceil(most)
    else:
        asked = current
    return min(max(asked, wanted.min_replicas), wanted.max_replicas)


def decide(now: datetime, current: int, recommended: int, low: Low | None, window: timedelta) -> Demand:
    """The size to have, and the mark that goes with it."""
    if recommended >= current:
        return Demand(recommended)
    low = Low(low.since, max(low.highest, recommended)) if low else Low(now, recommended)
    if low.highest >= current:
        return Demand(current)
    if now >= low.since + window:
        return Demand(low.highest)
    return Demand(current, low)
