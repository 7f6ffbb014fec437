"""Clusters amid a rollout."""

from __future__ import annotations

from inference_operator import names
from inference_operator.plan import plan
from tests.operator.model_cluster import ModelCluster, spec
from tests.operator.versions import (
    FLEETS,
    V1,
    V2,
    V3,
    draining,
    failed,
    fleet,
    preparing,
    rounds,
    rounds_until,
    said,
    serving,
)


def first_fleet_ready() -> ModelCluster:
    cluster = ModelCluster()
    rounds_until(cluster, lambda: "promoting" in str(said(plan(cluster.observe()))))
    return cluster


def live_edit() -> ModelCluster:
    cluster = serving()
    cluster.edit(spec(V1, limits={"maxQueue": 7}))
    return cluster


def scaled_in_mid_rollout() -> ModelCluster:
    cluster = preparing()
    cluster.edit(spec(V2, replicas=2))
    return cluster


def preview_of_other_pods() -> ModelCluster:
    cluster = preparing(broken=False)
    cluster.endpoints["chat-preview"] = {"pod-of-another": True}
    return cluster


def preview_that_is_silent() -> ModelCluster:
    cluster = preparing(broken=False)
    fleet(cluster, "v2").pods[0].reachable = False
    return cluster


def flipped(*, lag: bool) -> ModelCluster:
    cluster = serving()
    cluster.edit(spec(V2))
    old = cluster.endpoints["chat"]
    rounds_until(cluster, lambda: FLEETS[cluster.active] == "v2")
    new = cluster.endpoints["chat"]
    cluster.endpoints["chat"] = old
    cluster.carry_out(plan(cluster.observe()))
    cluster.endpoints["chat"] = (old | new) if lag else new
    return cluster


def flipped_and_scaled_to_zero() -> ModelCluster:
    cluster = flipped(lag=False)
    cluster.edit(spec(V2, replicas=0))
    cluster.endpoints["chat"] = {}
    return cluster


def pod_born_while_draining() -> ModelCluster:
    cluster = draining()
    cluster.kill_pod(0)
    cluster.tick()
    return cluster


def streams_end_once() -> ModelCluster:
    cluster = draining()
    cluster.finish_streams()
    return cluster


def streams_end_twice() -> ModelCluster:
    return rounds(streams_end_once(), 2)


def idle_right_after_the_order() -> ModelCluster:
    """Two looks found no stream, but latecomers are still served."""
    cluster = serving()
    cluster.edit(spec(V2))
    rounds_until(cluster, lambda: names.DRAINED_AT in fleet(cluster, "v1").annotations)
    cluster.tick(2)
    return cluster


def streams_come_back() -> ModelCluster:
    cluster = rounds(streams_end_once(), 1)
    fleet(cluster, "v1").pods[0].streams = 1
    return cluster


def silent_and_idle() -> ModelCluster:
    cluster = streams_end_once()
    fleet(cluster, "v1").pods[0].reachable = False
    return cluster


def overdue() -> ModelCluster:
    cluster = draining()
    cluster.tick(120)
    return cluster


def pods_gone() -> ModelCluster:
    cluster = draining()
    fleet(cluster, "v1").pods.clear()
    return cluster


def edited_again() -> ModelCluster:
    cluster = preparing()
    cluster.edit(spec(V3))
    return cluster


def edited_back_to_the_active() -> ModelCluster:
    cluster = preparing()
    cluster.edit(spec(V1))
    return cluster


def edited_back_to_the_draining() -> ModelCluster:
    cluster = draining()
    cluster.edit(spec(V1))
    return cluster


def edited_back_to_the_retired() -> ModelCluster:
    cluster = draining(0)
    cluster.settle()
    cluster.edit(spec(V1))
    return cluster


def past_the_deadline() -> ModelCluster:
    cluster = preparing()
    cluster.tick(60)
    return cluster


def failed_and_scaled() -> ModelCluster:
    cluster = failed()
    cluster.edit(spec(V2, replicas=3))
    return cluster


def failed_and_edited() -> ModelCluster:
    cluster = failed()
    cluster.edit(spec(V2, limits={"maxQueue": 7}))
    return cluster


def failed_then_away_and_back() -> ModelCluster:
    cluster = failed()
    cluster.edit(spec(V1))
    cluster.round()
    cluster.edit(spec(V2))
    return cluster


def history_over_its_limit() -> ModelCluster:
    cluster = draining(0)
    cluster.settle()
    none = {"drainTimeoutSeconds": 120, "historyLimit": 0}
    cluster.edit(spec(V2, rollout=none))
    return cluster
