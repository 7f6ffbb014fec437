"""What Prometheus reads: vLLM's names under our prefix, so that its dashboards can be reused."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime_serve.engine.messages import Step
from realtime_serve.generation.histogram import TokenHistogram
from realtime_serve.generation.tally import Tally

# Standard edges, so that standard dashboards work; the small ones are for models that are faster than those.
FIRST_TOKEN = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
)
BETWEEN_TOKENS = (
    0.00025,
    0.0005,
    0.001,
    0.002,
    0.004,
    0.006,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1,
    2.5,
)
WHOLE_REQUEST = (
    0.01,
    0.05,
    0.1,
    0.3,
    0.5,
    0.8,
    1,
    1.5,
    2,
    2.5,
    5,
    10,
    15,
    20,
    30,
    40,
    50,
    60,
    120,
    240,
    480,
    960,
)

_PREFIX = "realtime_serve"
_MODEL = ("model_name", "model_version")
_REQUEST = (*_MODEL, "priority")


Values = Iterable[tuple[tuple[str, str], float]]
"""Labels `model_name` and `model_version`, and the value."""


class _VersionGauge(Collector):
    def __init__(self, name: str, help_text: str, read: Callable[[], Values]) -> None:
        self._name, self._help, self._read = name, help_text, read

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._help, labels=_MODEL)
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family


class Metrics:
    """Every metric of one server, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # series that nobody reads
        self.registry = CollectorRegistry()
        self.tally = Tally()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.first_token = self._histogram(
            "time_to_first_token_seconds", "From acceptance to the first token", FIRST_TOKEN
        )
        self.between_tokens = TokenHistogram(
            f"{_PREFIX}_inter_token_latency_seconds",
            "Between two tokens of one request",
            _REQUEST,
            edges=BETWEEN_TOKENS,
            registry=self.registry,
        )
        self.whole_request = self._histogram(
            "e2e_request_latency_seconds", "From acceptance to the last token", WHOLE_REQUEST
        )
        self.queue_time = self._histogram(
            "request_queue_time_seconds",
            "From acceptance to the step that computed the first tokens",
            FIRST_TOKEN,
        )
        self.engine_step = Histogram(
            f"{_PREFIX}_engine_step_seconds",
            "One step of the engine",
            _MODEL,
            buckets=BETWEEN_TOKENS,
            registry=self.registry,
        )
        self.prefix_queries = self._counter(
            "prefix_cache_queries", "Tokens of prompts that the engine took in", _MODEL
        )
        self.prefix_hits = self._counter(
            "prefix_cache_hits", "Of these, tokens that others had computed already", _MODEL
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts", _REQUEST)
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated", _REQUEST)
        self.success = self._counter("request_success", "Whole answers", (*_REQUEST, "finished_reason"))
        self.failure = self._counter(
            "request_failure", "Requests without a whole answer, by error code", (*_REQUEST, "reason")
        )
        self.disconnects = self._counter(
            "client_disconnects", "Clients that left before the end of their answer", _REQUEST
        )

    def of_steps(self, name: str, version: str) -> Callable[[Step], None]:
        """Return what books the steps of this version's engine."""
        step_seconds = self.engine_step.labels(name, version)
        queries, hits = self.prefix_queries.labels(name, version), self.prefix_hits.labels(name, version)

        def book(step: Step) -> None:
            step_seconds.observe(step.seconds)
            queries.inc(step.prefix_queries)
            hits.inc(step.prefix_hits)

        return book

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge of this server that is read when Prometheus asks."""
        Gauge(f"{_PREFIX}_{name}", help_text, registry=self.registry).set_function(read)

    def watch_versions(self, name: str, help_text: str, read: Callable[[], Values]) -> None:
        """Add a gauge with a value for each version that is held when Prometheus asks."""
        self.registry.register(_VersionGauge(f"{_PREFIX}_{name}", help_text, read))

    def count(self, name: str, help_text: str, labels: tuple[str, ...]) -> Counter:
        """Add a counter of this server."""
        return self._counter(name, help_text, labels)

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", help_text, _REQUEST, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, help_text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"{_PREFIX}_{name}", help_text, labels, registry=self.registry)
