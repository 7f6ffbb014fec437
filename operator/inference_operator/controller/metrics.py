"""What the operator tells Prometheus about itself and about its models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Key(NamedTuple):
    """Which model."""

    namespace: str
    name: str


SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All series of one process, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "inference_operator"
        self.reconciles = Counter(
            f"{prefix}_reconciles", "Runs by result: done, stale, failed.", ["result"], registry=registry
        )
        self.seconds = Histogram(
            f"{prefix}_reconcile_seconds", "Length of a run.", registry=registry, buckets=SECONDS
        )
        self.depth = Gauge(f"{prefix}_queue_depth", "Models that wait for a worker.", registry=registry)
        self.oldest = Gauge(
            f"{prefix}_queue_oldest_seconds", "How long the first of them has waited.", registry=registry
        )
        self.resynced = Gauge(
            f"{prefix}_last_resync_timestamp_seconds",
            "When all models were last listed and queued (Unix time).",
            registry=registry,
        )
        self.leader = Gauge(f"{prefix}_leader", "1 while this process holds the lease.", registry=registry)
        self._requests = Counter(
            f"{prefix}_api_requests", "Requests to the API server.", ["verb", "code"], registry=registry
        )
        self._phase = Gauge(
            f"{prefix}_model_phase",
            "1 for the phase it is in.",
            ["namespace", "model", "phase"],
            registry=registry,
        )
        self._condition = Gauge(
            f"{prefix}_model_condition",
            "1 where the condition is True, else 0.",
            ["namespace", "model", "condition"],
            registry=registry,
        )
        self._streams = Gauge(
            f"{prefix}_fleet_streams",
            "Requests that a fleet is answering, by its role.",
            ["namespace", "model", "version", "role"],
            registry=registry,
        )
        self._steps = Counter(
            f"{prefix}_rollout_steps", "Steps taken.", ["namespace", "model", "step"], registry=registry
        )

    def watch_queue(self, depth: Callable[[], float], oldest: Callable[[], float]) -> None:
        self.depth.set_function(depth)
        self.oldest.set_function(oldest)

    def count_request(self, verb: str, code: str) -> None:
        self._requests.labels(verb, code).inc()

    def count_step(self, key: Key, step: str) -> None:
        self._steps.labels(*key, step).inc()

    def show(self, key: Key, status: Mapping[str, Any]) -> None:
        """Make the gauges of one model say what its status says."""
        self._clear(key)
        if phase := status.get("phase"):
            self._phase.labels(*key, phase).set(1)
        for condition in status.get("conditions") or ():
            self._condition.labels(*key, condition["type"]).set(condition["status"] == "True")
        for version, role, streams in _streams(status):
            self._streams.labels(*key, version, role).inc(streams)

    def forget(self, key: Key) -> None:
        """The model is gone: so are its series."""
        self._clear(key)
        labels = {"namespace": key.namespace, "model": key.name}
        self._steps.remove_by_labels(labels)

    def _clear(self, key: Key) -> None:
        labels = {"namespace": key.namespace, "model": key.name}
        self._phase.remove_by_labels(labels)
        self._condition.remove_by_labels(labels)
        self._streams.remove_by_labels(labels)


def _streams(status: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(version, role, streams) of every fleet whose pods could be asked."""
    fleets = [("active", status.get("active") or {})]
    fleets += [("draining", fleet) for fleet in status.get("draining") or ()]
    for role, fleet in fleets:
        if "activeStreams" in fleet:
            yield fleet.get("version", ""), role, fleet["activeStreams"]
