"""How many pods: raised at once, lowered by pods that have nothing left to do; by the load, the spec, or somebody else."""

from __future__ import annotations

from inference_operator import names
from inference_operator.plan import plan
from tests.operator.model_cluster import ModelCluster, spec

WINDOW = 30


def scaled(version="1.0.0", *, least=1, most=6, target=10, **more):
    scaling = {
        "minReplicas": least,
        "maxReplicas": most,
        "targetActiveStreams": target,
        "scaleDownStabilizationSeconds": WINDOW,
    }
    return spec(version, autoscaling=scaling | more)


def serving(wanted):
    cluster = ModelCluster(wanted)
    for _ in range(12):
        cluster.round()
    return cluster


def load(cluster, *streams):
    for pod, count in zip(pods(cluster), streams, strict=True):
        pod.streams = count


def pods(cluster):
    return cluster.fleets[cluster.active].pods


def size(cluster):
    return cluster.fleets[cluster.active].replicas


def rounds(cluster, count):
    return [cluster.round() for _ in range(count)]


def events(made):
    return [event.message for plan_ in made for event in plan_.events if event.reason == "Scaled"]


# --- what the load asks for


# --- pods come and go


def test_load_brings_pods_at_once_and_the_event_says_why():
    cluster = serving(scaled())
    load(cluster, 35)
    made = rounds(cluster, 1)
    assert size(cluster) == 4
    assert events(made)[0].endswith("grows from 1 to 4 pods for 35 active streams at 10 a pod.")


def test_an_autoscaled_model_looks_at_its_pods_every_fifteen_seconds():
    cluster = serving(scaled())
    assert cluster.round().recheck_after == 15
    assert serving(spec()).round().recheck_after is None


def test_when_load_has_gone_pods_leave_one_window_later_and_only_without_streams():
    cluster = serving(scaled(least=1))
    load(cluster, 25)
    rounds(cluster, 3)
    load(cluster, 3, 0, 4)
    rounds(cluster, WINDOW - 2)
    assert size(cluster) == 3
    rounds(cluster, 8)
    going = [pod for pod in pods(cluster) if names.RETIRE in pod.annotations]
    assert sorted(pod.streams for pod in going) == [0, 3]  # those with the fewest streams
    rounds(cluster, 12)
    assert size(cluster) == 2
    assert sorted(pod.streams for pod in pods(cluster)) == [3, 4]
    for pod in pods(cluster):
        pod.streams = 0
    rounds(cluster, 8)
    assert size(cluster) == 1
    assert names.SCALE_TO not in cluster.fleets[cluster.active].annotations


def test_a_pod_leaves_the_endpoints_before_it_refuses_anybody():
    cluster = serving(spec(replicas=2))
    load(cluster, 1, 2)
    cluster.edit(spec(replicas=1))
    cluster.carry_out(plan(cluster.observe()))
    victim = pods(cluster)[0]
    assert {names.RETIRE, names.DELETION_COST} <= victim.annotations.keys()
    assert names.DRAIN not in victim.annotations
    cluster.tick()
    assert cluster.endpoints["chat"][victim.uid] is False
    cluster.round()
    assert names.DRAIN in victim.annotations
    assert size(cluster) == 2


def test_the_pod_that_is_taken_is_the_one_that_is_done():
    cluster = serving(spec(replicas=3))
    load(cluster, 5, 1, 5)
    first, second, third = pods(cluster)
    cluster.edit(spec(replicas=2))
    rounds(cluster, 4)
    second.streams = 0
    rounds(cluster, 12)
    assert pods(cluster) == [first, third]


def test_a_pod_that_gets_streams_again_is_not_done():
    cluster = serving(spec(replicas=2))
    load(cluster, 0, 9)
    cluster.edit(spec(replicas=1))
    rounds(cluster, 4)
    victim = pods(cluster)[0]
    assert names.IDLE_SINCE in victim.annotations
    victim.streams = 1
    rounds(cluster, 10)
    assert names.IDLE_SINCE not in victim.annotations
    assert size(cluster) == 2


def test_a_pod_that_cannot_be_asked_leaves_at_the_drain_deadline():
    cluster = serving(spec(replicas=2))
    cluster.edit(spec(replicas=1))
    rounds(cluster, 2)
    index = next(i for i, pod in enumerate(pods(cluster)) if names.RETIRE in pod.annotations)
    cluster.silence_pod(index, reachable=False)
    rounds(cluster, 100)
    assert size(cluster) == 2
    rounds(cluster, 25)
    assert size(cluster) == 1


def test_growing_again_takes_the_order_back():
    cluster = serving(spec(replicas=2))
    load(cluster, 1, 2)
    cluster.edit(spec(replicas=1))
    rounds(cluster, 4)
    cluster.edit(spec(replicas=2))
    rounds(cluster, 2)
    assert all(
        not {names.RETIRE, names.DRAIN, names.DELETION_COST} & pod.annotations.keys() for pod in pods(cluster)
    )
    assert all(pod.ready for pod in pods(cluster))
    assert [pod.streams for pod in pods(cluster)] == [1, 2]


def test_load_that_comes_back_takes_the_order_back_too():
    cluster = serving(scaled())
    load(cluster, 25)
    rounds(cluster, 3)
    load(cluster, 1, 1, 9)
    rounds(cluster, WINDOW + 3)
    assert cluster.fleets[cluster.active].annotations[names.SCALE_TO] == "2"
    assert any(names.RETIRE in pod.annotations for pod in pods(cluster))
    load(cluster, 12, 12, 12)
    rounds(cluster, 3)
    assert size(cluster) == 4
    assert not any(names.RETIRE in pod.annotations for pod in pods(cluster))


def test_zero_replicas_are_zero_whatever_the_load():
    cluster = serving(scaled())
    cluster.edit(scaled() | {"replicas": 0})
    rounds(cluster, 20)
    assert size(cluster) == 0
    assert cluster.status["phase"] == "Ready"
    cluster.edit(scaled() | {"replicas": 1})
    rounds(cluster, 5)
    assert size(cluster) == 1


def test_an_external_autoscaler_writes_the_spec_and_the_bounds_hold():
    external = {"autoscaling": {"external": True, "minReplicas": 2, "maxReplicas": 4}}
    cluster = serving(spec(replicas=3, **external))
    assert size(cluster) == 3
    load(cluster, 900, 900, 900)
    rounds(cluster, 3)
    assert size(cluster) == 3
    cluster.edit(spec(replicas=9, **external))
    rounds(cluster, 3)
    assert size(cluster) == 4
    assert cluster.status["replicas"] == 4


# --- beside a rollout


def test_a_second_fleet_is_as_large_as_the_first_is_now():
    cluster = serving(scaled())
    load(cluster, 35)
    rounds(cluster, 3)
    cluster.edit(scaled("2.0.0"))
    cluster.round()
    assert sorted(cluster.running.values()) == [4, 4]


def test_an_autoscaler_takes_no_pod_while_a_rollout_is_under_way():
    cluster = serving(scaled())
    load(cluster, 35)
    rounds(cluster, 3)
    cluster.broken.add("2.0.0")
    cluster.edit(scaled("2.0.0"))
    load(cluster, 0, 0, 0, 0)
    rounds(cluster, WINDOW + 20)
    assert sorted(cluster.running.values()) == [4, 4]
    assert not any(names.RETIRE in pod.annotations for pod in pods(cluster))


def test_the_limits_of_callers_are_shared_by_the_pods_that_there_are():
    cluster = serving(scaled() | {"rateLimit": {"requestsPerMinute": 600}})
    load(cluster, 35)
    rounds(cluster, 3)
    text = cluster.children["ConfigMap", names.settings(cluster.active)].content["data"]["settings.json"]
    assert '"replicas": 4' in text
