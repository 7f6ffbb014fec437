"""Series that follow the models: what each one's status says, put together when Prometheus asks.

A gauge child for each of them would cost a lock and a kilobyte, and finding those of one model a look at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from inference_operator.controller.key import Key

PREFIX = "inference_operator"


class _Told(NamedTuple):
    """By one status."""

    phase: str
    conditions: tuple[tuple[str, bool], ...]
    streams: tuple[tuple[str, str, int], ...]
    """Version, role, and requests that are being answered."""


class ModelSeries(Collector):
    """Phase, conditions and streams of every model."""

    def __init__(self) -> None:
        self._told: dict[Key, _Told] = {}

    def show(self, key: Key, status: Mapping[str, Any]) -> None:
        """Make the series of one model say what its status says."""
        conditions = (
            (condition["type"], condition["status"] == "True") for condition in status.get("conditions") or ()
        )
        self._told[key] = _Told(status.get("phase", ""), tuple(conditions), _streams(status))

    def forget(self, key: Key) -> None:
        self._told.pop(key, None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Their names, for the registry."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        phase, condition, streams = _families()
        for key, told in tuple(self._told.items()):
            if told.phase:
                phase.add_metric((*key, told.phase), 1)
            for kind, true in told.conditions:
                condition.add_metric((*key, kind), true)
            for version, role, number in told.streams:
                streams.add_metric((*key, version, role), number)
        yield from (phase, condition, streams)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    model = ("namespace", "model")
    return (
        GaugeMetricFamily(f"{PREFIX}_model_phase", "1 for the phase it is in.", labels=(*model, "phase")),
        GaugeMetricFamily(
            f"{PREFIX}_model_condition",
            "1 where the condition is True, else 0.",
            labels=(*model, "condition"),
        ),
        GaugeMetricFamily(
            f"{PREFIX}_fleet_streams",
            "Requests that a fleet is answering, by its role.",
            labels=(*model, "version", "role"),
        ),
    )


def _streams(status: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """Of every fleet whose pods could be asked; fleets of one version and role are summed."""
    fleets = [("active", status.get("active") or {})]
    fleets += [("draining", fleet) for fleet in status.get("draining") or ()]
    total: Counter[tuple[str, str]] = Counter()
    for role, fleet in fleets:
        if "activeStreams" in fleet:
            total[fleet.get("version", ""), role] += fleet["activeStreams"]
    return tuple((*place, number) for place, number in total.items())
