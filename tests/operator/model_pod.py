"""A pod as pure data: what it loads, whether it is ready, and what it says of itself."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from inference_operator import names
from inference_operator.observed import Pod, Trouble
from inference_operator.reports import (
    ErrorsReport,
    LatencyReport,
    ModelReport,
    PodReport,
    StreamsReport,
    VersionReport,
)


@dataclass
class SimPod:
    name: str
    uid: str
    born: datetime
    version: str
    ready: bool = False
    deleting: bool = False
    reachable: bool = True
    node_lost: bool = False
    streams: int = 0
    generation: int = 0
    requests: int = 0
    errors: int = 0
    ttft_p95_ms: float = 50.0
    restarts: int = 0
    annotations: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    """A version that never loads."""
    held: dict[str, str] = field(default_factory=dict)
    """State by version, of what it has loaded or tries to."""
    active: str = ""
    """The version that new streams begin on; `streams` are those of this one."""
    why: str = ""
    """Of the last version that failed."""
    wants: list[str] = field(default_factory=list)
    prefers: str = ""
    older: dict[str, int] = field(default_factory=dict)
    """Streams on versions that were active before."""


@dataclass
class SimFleet:
    manifest: dict[str, Any]
    uid: str
    resource_version: int
    born: datetime
    replicas: int
    annotations: dict[str, str]
    pods: list[SimPod] = field(default_factory=list)
    born_with: str = ""
    """The version on its pods' command line."""
    refused: str = ""
    """Why not all of its pods are there."""


@dataclass
class SimChild:
    content: dict[str, Any]
    uid: str
    resource_version: int
    ours: bool = True


def load(pod: SimPod, *, broken: AbstractSet[str], heavy: AbstractSet[str]) -> None:
    """What is not listed goes when it is idle; after that others load, each in an engine of its own, at birth at once."""
    for version in [held for held in pod.held if held not in pod.wants]:
        busy = pod.streams if version == pod.active else pod.older.get(version, 0)
        pod.held[version] = "draining"
        if not busy:
            del pod.held[version]
            pod.active = "" if version == pod.active else pod.active
    leaving = set(pod.held) - set(pod.wants)
    for version in [] if leaving else pod.wants:
        others = [other for other in pod.held if other != version]
        crowded = others and (version in heavy or any(other in heavy for other in others))
        match pod.held.get(version), version in broken or crowded:
            case ("ready", _) | ("failed", _):
                pass
            case _, True:
                pod.held[version] = "failed" if pod.active else "loading"
                pod.why = "OutOfMemory: it does not fit" if crowded else "torn"
            case None, False if pod.active:
                pod.held[version] = "loading"
            case _:
                pod.held[version] = "ready"
    if pod.prefers != pod.active and pod.held.get(pod.prefers) == "ready":
        if pod.active:
            pod.older[pod.active] = pod.older.get(pod.active, 0) + pod.streams
        pod.active, pod.streams = pod.prefers, pod.older.pop(pod.prefers, 0)
    serves = pod.held.get(pod.active) in {"ready", "draining"} and pod.active not in broken
    pod.ready = serves and not pod.node_lost and names.RETIRE not in pod.annotations


def rank(pod: SimPod) -> tuple[bool, int, int]:
    """Whom the Deployment's controller takes first: not ready, then the lowest cost, then the youngest."""
    cost = int(pod.annotations.get(names.DELETION_COST, "0"))
    return pod.ready, cost, -int(pod.uid.removeprefix("pod-"))


def show_pod(pod: SimPod) -> Pod:
    draining = names.DRAIN in pod.annotations
    counts = {**pod.older, pod.active or pod.version: pod.streams}
    versions = {
        version: VersionReport(
            state=state,
            message=pod.why if state == "failed" else "",
            active_streams=counts.get(version, 0),
        )
        for version, state in (pod.held or {pod.version: "loading"}).items()
    }
    report = PodReport(
        draining=draining,
        settings_generation=pod.generation,
        models={"chat": ModelReport(active_version=pod.active, versions=versions)},
        streams=StreamsReport(active=sum(counts.values())),
        errors={pod.active: ErrorsReport(requests_total=pod.requests, errors_total=pod.errors)},
        latency={pod.active: LatencyReport(ttft_p95_ms=pod.ttft_p95_ms, ttft_count=pod.requests)},
    )
    shown = Pod(
        name=pod.name,
        uid=pod.uid,
        ip="10.0.0.1",
        ready=pod.ready,
        deleting=pod.deleting,
        restarts=pod.restarts,
        annotations=dict(pod.annotations),
        report=report if pod.reachable else None,
    )
    if not pod.failure:
        return shown
    return replace(shown, waiting=Trouble(reason=pod.failure))
