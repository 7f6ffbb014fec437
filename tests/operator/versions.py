"""Small clusters in the state from which most sentences begin, with fleets called `v1`, `v2` after their version."""

from __future__ import annotations

from collections.abc import Callable

from inference_operator import names
from inference_operator.actions import Plan
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import ModelCluster, describe, spec

V1, V2, V3 = "1.0.0", "2.0.0", "3.0.0"
FLEETS = {names.fleet("chat", revision(parse(spec(v)))): f"v{v[0]}" for v in (V1, V2, V3)}


def said(made: Plan) -> list[str]:
    lines = [describe(action) for action in made.actions]
    for fleet, short in FLEETS.items():
        lines = [line.replace(fleet, short) for line in lines]
    return lines


def fleet(cluster: ModelCluster, short: str):
    found = {FLEETS.get(name, name): fleet for name, fleet in cluster.fleets.items()}
    return found[short]


def rounds(cluster: ModelCluster, count: int) -> ModelCluster:
    for _ in range(count):
        cluster.round()
    return cluster


def rounds_until(cluster: ModelCluster, done: Callable[[], object], most: int = 60) -> None:
    for _ in range(most):
        if done():
            return
        cluster.round()
    raise AssertionError(f"it did not come to that: {cluster.log[-12:]}")


def serving(**sections) -> ModelCluster:
    """Version 1 serves, nothing is left to do."""
    cluster = ModelCluster(spec(V1, **sections))
    cluster.settle()
    return cluster


def preparing(*, broken: bool = True) -> ModelCluster:
    """Version 2 has its fleet, whose pod is not ready unless `broken` is False."""
    cluster = serving()
    if broken:
        cluster.broken.add(V2)
    cluster.edit(spec(V2))
    return rounds(cluster, 4 if broken else 2)


def draining(streams: int = 2) -> ModelCluster:
    """Version 2 serves, version 1 was told to drain and has streams."""
    cluster = serving()
    cluster.open_streams(streams)
    cluster.edit(spec(V2))
    rounds_until(cluster, lambda: names.DRAIN_STARTED in fleet(cluster, "v1").annotations)
    return rounds(cluster, 8)


def failed() -> ModelCluster:
    cluster = preparing()
    cluster.tick(60)
    return rounds(cluster, 4)
