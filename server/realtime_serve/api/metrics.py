"""What a server has measured."""

from __future__ import annotations

import time
from typing import Any

from realtime_serve.generation.metrics import Metrics
from realtime_serve.web.performance import percentiles_json


class MetricsCollector(Metrics):
    """Counters and histograms for Prometheus, and percentiles of the last minute.

    >>> MetricsCollector().snapshot()["models"]
    {}

    """

    def snapshot(self) -> dict[str, Any]:
        """Return p50, p95 and p99 of each latency (milliseconds), tokens/s, requests/s and the error rate, by version."""
        return percentiles_json(self.tally, time.monotonic())
