"""Models that are asked for with golden prompts, approval, a trial or a warm predecessor."""

from __future__ import annotations

from inference_operator import names
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import ModelCluster, spec

V1, V2, V3 = "1.0.0", "2.0.0", "3.0.0"
BASE = {"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 120}
GOLDEN = {"verification": {"prompts": [{"name": "sum", "prompt": "2+2=", "expect": {"contains": "4"}}]}}
BY_HAND = {"autoPromotion": False}
TRIAL = {"analysis": {"seconds": 30, "maxErrorRate": 0.1, "maxTimeToFirstTokenP95Ms": 500}}
KEEP = {"keepPreviousSeconds": 60}


def asked(version: str, **rollout) -> dict:
    return spec(version, rollout=BASE | rollout)


def revision_of(wanted: dict) -> str:
    return revision(parse(wanted))


def serving(**rollout) -> ModelCluster:
    cluster = ModelCluster(asked(V1, **rollout))
    if rollout.get("autoPromotion") is False:
        cluster.order(names.PROMOTE, revision_of(cluster.spec))
    cluster.settle()
    cluster.order(names.PROMOTE, None)
    return cluster


def until(cluster: ModelCluster, *phases: str, rounds: int = 60) -> ModelCluster:
    for _ in range(rounds):
        if cluster.status.get("phase") in phases:
            return cluster
        cluster.round()
    raise AssertionError(f"{cluster.status['phase']}, not {phases}: {cluster.log[-9:]}")


def active(cluster: ModelCluster) -> str:
    return cluster.fleets[cluster.active].annotations[names.FLEET_VERSION]


def condition(cluster: ModelCluster, kind: str) -> dict:
    return next(each for each in cluster.status["conditions"] if each["type"] == kind)


def fleet_of(cluster: ModelCluster, version: str):
    return next(f for f in cluster.fleets.values() if f.annotations[names.FLEET_VERSION] == version)


def swapped(**rollout) -> ModelCluster:
    """Version 2 has just got the traffic of version 1."""
    cluster = serving(**rollout)
    cluster.edit(asked(V2, **rollout))
    for _ in range(30):
        cluster.round()
        if active(cluster) == V2 and names.DRAIN_STARTED in fleet_of(cluster, V1).annotations:
            return cluster
    raise AssertionError(cluster.log[-9:])
