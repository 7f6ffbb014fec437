"""What the operator tells Prometheus about itself and about its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from inference_operator.controller.key import Key
from inference_operator.controller.model_series import PREFIX, ModelSeries

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All series of one process, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reconciles = Counter(
            f"{PREFIX}_reconciles", "Runs by result: done, stale, failed.", ["result"], registry=registry
        )
        self.seconds = Histogram(
            f"{PREFIX}_reconcile_seconds", "Length of a run.", registry=registry, buckets=SECONDS
        )
        self.depth = Gauge(f"{PREFIX}_queue_depth", "Models that wait for a worker.", registry=registry)
        self.oldest = Gauge(
            f"{PREFIX}_queue_oldest_seconds", "How long the first of them has waited.", registry=registry
        )
        self.resynced = Gauge(
            f"{PREFIX}_last_resync_timestamp_seconds",
            "When all models were last listed and queued (Unix time).",
            registry=registry,
        )
        self.leader = Gauge(f"{PREFIX}_leader", "1 while this process holds the lease.", registry=registry)
        self._requests = Counter(
            f"{PREFIX}_api_requests", "Requests to the API server.", ["verb", "code"], registry=registry
        )
        self._models = ModelSeries()
        registry.register(self._models)
        self._steps = Counter(
            f"{PREFIX}_rollout_steps", "Steps taken.", ["namespace", "model", "step"], registry=registry
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
        self._models.show(key, status)

    def forget(self, key: Key) -> None:
        """The model is gone: so are its series."""
        self._models.forget(key)
        self._steps.remove_by_labels({"namespace": key.namespace, "model": key.name})
