"""Rollouts with each strategy, on clusters with and without room."""

from __future__ import annotations

import json

from inference_operator import names
from tests.operator.model_cluster import ModelCluster, spec

V2 = "2.0.0"


def wanted(version=V2, strategy="Auto", replicas=1, **more):
    rollout = {"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 120, "strategy": strategy}
    server = {"server": more.pop("server")} if "server" in more else {}
    return spec(version, replicas=replicas, rollout=rollout | more, **server)


def serving(capacity=1, replicas=1):
    """Version 1.0.0 serves; the cluster has room for `capacity` pods and the operator may know it."""
    cluster = ModelCluster(wanted("1.0.0", replicas=replicas))
    cluster.capacity, cluster.room_is_known = capacity, True
    cluster.settle()
    return cluster


def steps(cluster, rounds=30):
    taken = [cluster.round().step for _ in range(rounds)]
    return [step for step in taken if step]


def progressing(cluster):
    found = next(each for each in cluster.status["conditions"] if each["type"] == "Progressing")
    return found["status"], found["reason"], found["message"]


def listed(cluster):
    settings = cluster.children["ConfigMap", names.settings(cluster.active)].content["data"]["settings.json"]
    told = json.loads(settings)
    return told["activeVersion"], [each["version"] for each in told.get("versions", ())]


def pods(cluster):
    return cluster.fleets[cluster.active].pods


def rounds_until(cluster, step, rounds=30):
    for _ in range(rounds):
        if cluster.round().step == step:
            return
    raise AssertionError(f"no {step}")
