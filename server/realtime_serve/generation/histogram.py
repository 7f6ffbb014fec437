"""A histogram for what happens at every token: one thread counts, so nothing is locked, and the bucket is found by halving."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Series:
    """What was observed under one set of labels."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)  # the last one: above every edge
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value that was seen so many times. A value at an edge is below it."""
        self._counts[bisect_left(self._edges, value)] += times
        self._sum += value * times

    def told(self) -> tuple[list[tuple[str, float]], float]:
        """Return each edge with the count of what is not above it, and the sum."""
        names = [*map(floatToGoString, self._edges), "+Inf"]
        buckets, below = [], 0
        for name, count in zip(names, self._counts, strict=True):
            below += count
            buckets.append((name, float(below)))
        return buckets, self._sum


class TokenHistogram(Collector):
    """Prometheus's histogram, as far as this server needs it; only the event loop's thread may use it."""

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        *,
        edges: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._help, self._labels, self._edges = name, help_text, labels, edges
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """Return the series of these labels, in the order of their names."""
        return self._series.setdefault(values, Series(self._edges))

    def collect(self) -> Iterable[Metric]:
        """Tell Prometheus."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for values, series in self._series.items():
            family.add_metric(values, *series.told())
        yield family
