"""A node that is gone: its pods say nothing, and some minutes later they are to be deleted with nobody to do it."""

from __future__ import annotations

from inference_operator import names
from tests.operator.model_cluster import ModelCluster, spec

V1, V2 = "1.0.0", "2.0.0"


def serving(**sections) -> ModelCluster:
    cluster = ModelCluster(spec(V1, **sections))
    cluster.settle()
    return cluster


def fleet_of(cluster, version):
    return next(
        fleet for fleet in cluster.fleets.values() if fleet.annotations[names.FLEET_VERSION] == version
    )


def draining() -> ModelCluster:
    """Version 2 serves; version 1 has a stream on a pod whose node is lost."""
    cluster = serving()
    cluster.open_streams(1)
    cluster.edit(spec(V2))
    while names.DRAIN_STARTED not in fleet_of(cluster, V1).annotations:
        cluster.round()
    for _ in range(8):
        cluster.round()
    cluster.lose_node(*fleet_of(cluster, V1).pods)
    return cluster


def test_a_fleet_that_lost_a_pod_serves_on_the_others_and_is_whole_again_with_its_replacement():
    cluster = serving(replicas=2)
    lost, left = fleet_of(cluster, V1).pods
    cluster.lose_node(lost)
    for _ in range(3):
        cluster.round()
    conditions = {each["type"]: each for each in cluster.status["conditions"]}
    assert conditions["Available"]["status"] == "True"
    assert conditions["Ready"]["reason"] == "PodsNotReady"
    cluster.evict_lost()
    cluster.settle()
    assert cluster.status["active"]["readyReplicas"] == 2
    assert {pod.uid for pod in fleet_of(cluster, V1).pods} > {lost.uid, left.uid}
    assert cluster.status["phase"] == "Ready"


def test_a_drain_waits_for_a_silent_pod_until_it_is_deleted():
    """It may be alive behind a broken link, with its streams."""
    cluster = draining()
    for _ in range(20):
        cluster.round()
    assert fleet_of(cluster, V1).replicas == 1
    assert "unknown" in next(c["message"] for c in cluster.status["conditions"] if c["type"] == "Draining")
    cluster.evict_lost()
    for _ in range(20):
        cluster.round()
    assert fleet_of(cluster, V1).replicas == 0


def test_a_drain_of_a_silent_pod_that_nobody_deletes_ends_at_its_deadline():
    cluster = draining()
    cluster.tick(120)
    for _ in range(3):
        cluster.round()
    assert fleet_of(cluster, V1).replicas == 0


def test_a_preview_whose_node_is_lost_gets_the_traffic_with_its_replacement():
    cluster = serving()
    cluster.edit(spec(V2))
    cluster.round()
    cluster.lose_node(*fleet_of(cluster, V2).pods)
    for _ in range(8):
        cluster.round()
    assert cluster.active != fleet_of(cluster, V2).manifest["metadata"]["name"]
    cluster.evict_lost()
    cluster.settle()
    assert cluster.status["active"]["version"] == V2


def test_a_rollout_goes_on_when_the_whole_old_fleet_is_lost():
    cluster = serving(replicas=2)
    cluster.lose_node(*fleet_of(cluster, V1).pods)
    cluster.edit(spec(V2, replicas=2))
    for _ in range(12):
        cluster.round()
    assert cluster.status["active"]["version"] == V2
