"""What a new version goes through once it has traffic: a trial, with its predecessor kept warm."""

from __future__ import annotations

from inference_operator import names
from tests.operator.model_cluster import ModelCluster
from tests.operator.trials import (
    KEEP,
    TRIAL,
    V1,
    V2,
    V3,
    active,
    asked,
    condition,
    fleet_of,
    swapped,
    until,
)


class TestTrial:
    def test_a_version_that_fails_requests_gives_the_traffic_back(self):
        cluster = swapped(**TRIAL)
        cluster.misbehave(V2)
        assert cluster.round().step == "condemn"
        steps = []
        while active(cluster) == V2:
            steps.append(cluster.round().step)
            assert condition(cluster, "Ready")["status"] == "False"
            assert cluster.status["phase"] == "RollingBack"
        assert [step for step in steps if step] == ["recall", "promote"]
        until(cluster, "Failed")
        assert condition(cluster, "Progressing")["reason"] == "AnalysisBreached"
        assert "20 of 20 requests failed" in condition(cluster, "Progressing")["message"]
        cluster.settle()
        assert cluster.running == {cluster.active: 1}

    def test_a_breach_is_told_once(self):
        cluster = swapped(**TRIAL)
        cluster.misbehave(V2)
        events = []
        while active(cluster) == V2:
            events += cluster.round().events
        for _ in range(5):
            events += cluster.round().events
        assert [event.reason for event in events].count("AnalysisBreached") == 1

    def test_a_slow_one_does_too(self):
        cluster = swapped(**TRIAL)
        cluster.misbehave(V2, errors=0, ttft_p95_ms=900)
        assert cluster.round().step == "condemn"

    def test_few_requests_say_nothing(self):
        cluster = swapped(**TRIAL)
        for pod in fleet_of(cluster, V2).pods:
            pod.requests, pod.errors = 9, 9
        assert cluster.round().step != "condemn"

    def test_after_its_end_nothing_is_judged_any_more(self):
        cluster = swapped(**TRIAL)
        cluster.tick(31)
        cluster.misbehave(V2)
        cluster.settle()
        assert active(cluster) == V2

    def test_its_end_is_told(self):
        cluster = swapped(**TRIAL)
        until(cluster, "Analyzing")
        events = []
        while cluster.status["phase"] == "Analyzing":
            events += cluster.round().events
        assert "AnalysisPassed" in [event.reason for event in events]

    def test_the_predecessor_is_kept_until_its_end(self):
        cluster = swapped(**TRIAL)
        for _ in range(25):
            cluster.round()
        assert fleet_of(cluster, V1).replicas == 1
        cluster.settle()
        assert fleet_of(cluster, V1).replicas == 0

    def test_a_predecessor_that_is_gone_is_started_again(self):
        cluster = swapped(**TRIAL)
        old = fleet_of(cluster, V1)
        old.replicas = 0
        cluster.tick()
        cluster.misbehave(V2)
        steps = []
        while active(cluster) == V2:
            steps.append(cluster.round().step)
        assert [step for step in steps if step] == ["condemn", "revive", "promote"]

    def test_the_first_version_has_nothing_to_go_back_to(self):
        cluster = ModelCluster(asked(V1, **TRIAL))
        while not cluster.active:
            cluster.round()
        cluster.round()
        cluster.misbehave(V1)
        cluster.round()
        assert condition(cluster, "Degraded")["reason"] == "AnalysisBreached"
        assert active(cluster) == V1

    def test_no_stream_of_either_version_is_cut_on_the_way_back(self):
        cluster = swapped(**TRIAL)
        cluster.open_streams(2)
        new = fleet_of(cluster, V2)
        cluster.misbehave(V2)
        while active(cluster) == V2:
            cluster.round()
        for _ in range(10):
            cluster.round()
        assert (new.replicas, new.pods[0].streams) == (1, 2)


class TestWarmPredecessor:
    def test_going_back_to_it_is_a_flip(self):
        cluster = swapped(**KEEP)
        for _ in range(20):
            cluster.round()
        assert cluster.status["phase"] == "Ready"
        assert cluster.status["previous"]["version"] == V1
        assert f"Version {V1} is kept warm until " in condition(cluster, "Progressing")["message"]
        cluster.edit(asked(V1, **KEEP))
        began = cluster.now
        while active(cluster) == V2:
            cluster.round()
        assert (cluster.now - began).total_seconds() <= 3
        assert len(cluster.fleets) == 2

    def test_its_pods_take_work_before_they_get_it(self):
        cluster = swapped(**KEEP)
        cluster.edit(asked(V1, **KEEP))
        assert cluster.round().step == "recall"
        pod = fleet_of(cluster, V1).pods[0]
        pod.annotations[names.DRAIN] = "not heard yet"
        assert cluster.round().step == ""
        del pod.annotations[names.DRAIN]
        assert cluster.round().step == "promote"

    def test_it_goes_when_its_time_is_over(self):
        cluster = swapped(**KEEP)
        cluster.settle()
        assert cluster.running == {cluster.active: 1}

    def test_it_goes_where_the_next_version_finds_no_room(self):
        cluster = swapped(**KEEP)
        for _ in range(12):
            cluster.round()
        cluster.capacity = 2
        cluster.edit(asked(V3, **KEEP))
        for _ in range(6):
            cluster.round()
        assert fleet_of(cluster, V1).replicas == 0
        cluster.settle()
        assert active(cluster) == V3

    def test_only_the_last_one_is_kept(self):
        cluster = swapped(**KEEP)
        cluster.edit(asked(V3, **KEEP))
        for _ in range(30):
            cluster.round()
        assert (fleet_of(cluster, V1).replicas, fleet_of(cluster, V2).replicas) == (0, 1)
