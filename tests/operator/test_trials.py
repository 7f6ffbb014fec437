"""What a new version goes through before and after it gets traffic: golden prompts, approval, a trial, orders."""

from __future__ import annotations

import pytest

from inference_operator import names
from inference_operator.actions import Verify
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


class TestGoldenPrompts:
    def test_no_traffic_moves_before_they_are_answered(self):
        cluster = serving(**GOLDEN)
        cluster.edit(asked(V2, **GOLDEN))
        seen = []
        while active(cluster) == V1:
            seen.append(cluster.round().step)
        assert seen[-2:] == ["verify", "promote"]

    def test_an_answer_is_an_event_and_a_gate(self):
        cluster = serving(**GOLDEN)
        cluster.edit(asked(V2, **GOLDEN))
        events = []
        while active(cluster) == V1:
            made = cluster.round()
            events += [event.reason for event in made.events]
        assert events == ["FleetCreated", "VerificationStarted", "Promoted", "Verified"]
        gate = next(g for g in made.status["target"]["gates"] if g["name"] == "golden-sum")
        assert (gate["passed"], gate["answer"], gate["ttftMs"]) == (True, "4", 9.0)

    def test_a_wrong_answer_fails_the_rollout_and_what_serves_is_not_touched(self):
        cluster = serving(**GOLDEN)
        cluster.wrong.add(V2)
        cluster.edit(asked(V2, **GOLDEN))
        until(cluster, "Failed")
        assert active(cluster) == V1
        assert fleet_of(cluster, V2).replicas == 0
        assert condition(cluster, "Verified")["reason"] == "VerificationFailed"
        assert "gate sum: answered" in condition(cluster, "Progressing")["message"]
        assert not any("flip" in line for line in cluster.log[-12:])

    def test_a_pod_that_is_replaced_is_judged_anew(self):
        cluster = serving(**GOLDEN, **BY_HAND)
        cluster.edit(asked(V2, **GOLDEN, **BY_HAND))
        until(cluster, "AwaitingApproval")
        cluster.wrong.add(V2)
        fleet_of(cluster, V2).pods.clear()
        until(cluster, "Failed")
        assert condition(cluster, "Progressing")["reason"] == "VerificationFailed"

    def test_a_pod_that_restarts_is_judged_anew(self):
        cluster = serving(**GOLDEN, **BY_HAND)
        cluster.edit(asked(V2, **GOLDEN, **BY_HAND))
        until(cluster, "AwaitingApproval")
        fleet_of(cluster, V2).pods[0].restarts = 1
        assert cluster.round().step == "verify"

    def test_a_verification_that_was_lost_is_begun_again_by_the_next_operator(self):
        cluster = serving(**GOLDEN)
        cluster.edit(asked(V2, **GOLDEN))
        while cluster.round().step != "verify":
            pass
        cluster.questions.clear()
        fleet_of(cluster, V2).annotations.pop(names.VERIFICATION, None)
        made = cluster.round()
        assert (made.step, cluster.log[-1].split()[0]) == ("", "ask")
        cluster.settle()
        assert active(cluster) == V2

    def test_prompts_of_a_config_map_are_asked(self):
        source = {"verification": {"promptsFrom": {"configMapKeyRef": {"name": "golden", "key": "p"}}}}
        cluster = serving()
        cluster.prompts = {"p": "- {prompt: hi, name: greeting}"}
        cluster.edit(asked(V2, **source))
        made = [cluster.round() for _ in range(10)]
        asked_for = [action.asked for each in made for action in each.actions if isinstance(action, Verify)]
        assert [name for name, _ in asked_for[0].named()] == ["greeting"]
        cluster.settle()
        assert active(cluster) == V2

    @pytest.mark.parametrize(
        ("texts", "problem"),
        [
            (None, "no such ConfigMap"),
            ({"q": ""}, "the ConfigMap has q"),
            ({"p": "{"}, "is no YAML"),
            ({"p": "- {prompt: hi, expect: {equal: x}}"}, "unknown field `equal` - at `$[0].expect`"),
            ({"p": "- &a {prompt: hi}\n- *a"}, "uses a YAML alias"),
            ({"p": "[" * 60_000}, "lists and objects within each other"),
            ({"p": "- {prompt: hi, expect: {matches: '('}}"}, "RE2"),
            (
                {"p": "- {prompt: hi, name: a}\n- {prompt: ho, name: a}"},
                "prompts named a appear more than once",
            ),
        ],
    )
    def test_prompts_that_cannot_be_read_hold_the_rollout_and_say_why(self, texts, problem):
        source = {"verification": {"promptsFrom": {"configMapKeyRef": {"name": "golden", "key": "p"}}}}
        cluster = serving()
        cluster.prompts = texts
        cluster.edit(asked(V2, **source))
        for _ in range(6):
            cluster.round()
        told = condition(cluster, "Progressing")
        assert told["reason"] == "PromptsUnreadable"
        assert problem in told["message"]
        assert active(cluster) == V1


class TestApproval:
    def test_without_it_nothing_moves_and_the_command_is_told(self):
        cluster = serving(**BY_HAND)
        wanted = asked(V2, **BY_HAND)
        cluster.edit(wanted)
        until(cluster, "AwaitingApproval")
        cluster.tick(10_000)
        for _ in range(4):
            cluster.round()
        assert (active(cluster), cluster.status["phase"]) == (V1, "AwaitingApproval")
        command = f"kubectl annotate --overwrite im -n default chat {names.PROMOTE}={revision_of(wanted)}"
        assert command in condition(cluster, "Progressing")["message"]

    def test_it_moves_the_traffic(self):
        cluster = serving(**BY_HAND)
        cluster.edit(asked(V2, **BY_HAND))
        until(cluster, "AwaitingApproval")
        cluster.order(names.PROMOTE, revision_of(cluster.spec))
        assert cluster.round().step == "promote"

    def test_that_of_another_revision_does_nothing_and_says_so_once(self):
        cluster = serving(**BY_HAND)
        cluster.edit(asked(V2, **BY_HAND))
        until(cluster, "AwaitingApproval")
        cluster.edit(asked(V3, **BY_HAND))
        cluster.order(names.PROMOTE, revision_of(asked(V2)))
        events = [event for _ in range(20) for event in cluster.round().events]
        assert [event.reason for event in events].count("VerbIgnored") == 1
        assert (active(cluster), cluster.status["phase"]) == (V1, "AwaitingApproval")
        assert cluster.status["orders"][0]["heeded"] is False

    def test_silence_is_consent_after_the_seconds_that_are_asked_for(self):
        soon = BY_HAND | {"autoPromotionSeconds": 20}
        cluster = serving(**BY_HAND)
        cluster.edit(asked(V2, **soon))
        until(cluster, "AwaitingApproval")
        cluster.round(seconds=15)
        assert active(cluster) == V1
        cluster.round(seconds=6)
        cluster.round()
        assert active(cluster) == V2


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


class TestOrders:
    def test_abort_ends_a_rollout(self):
        cluster = serving(**BY_HAND)
        cluster.edit(asked(V2, **BY_HAND))
        until(cluster, "AwaitingApproval")
        cluster.order(names.ABORT, revision_of(cluster.spec))
        assert cluster.round().step == "abort"
        cluster.settle()
        assert (cluster.status["phase"], active(cluster)) == ("Failed", V1)
        assert condition(cluster, "Progressing")["reason"] == "Aborted"

    def test_abort_of_what_has_the_traffic_does_nothing_and_names_the_verb_that_does(self):
        cluster = serving()
        cluster.order(names.ABORT, revision_of(cluster.spec))
        made = cluster.round()
        assert (made.actions, made.events[0].reason) == ((), "VerbIgnored")
        assert names.ROLLBACK in cluster.status["orders"][0]["message"]

    def test_retry_tries_once_more_and_only_once(self):
        cluster = serving(**GOLDEN)
        cluster.wrong.add(V2)
        cluster.edit(asked(V2, **GOLDEN))
        until(cluster, "Failed")
        cluster.order(names.RETRY, revision_of(cluster.spec))
        steps = [cluster.round().step for _ in range(60)]
        assert (steps.count("retry"), steps.count("reject")) == (1, 1)
        cluster.wrong.clear()
        cluster.order(names.RETRY, None)
        cluster.round()
        cluster.order(names.RETRY, revision_of(cluster.spec))
        cluster.settle()
        assert active(cluster) == V2

    def test_a_retry_that_stood_before_the_failure_is_used_up(self):
        cluster = serving(**GOLDEN)
        cluster.wrong.add(V2)
        cluster.order(names.RETRY, revision_of(asked(V2)))
        cluster.edit(asked(V2, **GOLDEN))
        until(cluster, "Failed")
        assert "retry" not in [cluster.round().step for _ in range(20)]

    def test_rollback_gives_the_traffic_back(self):
        cluster = swapped(**KEEP)
        cluster.order(names.ROLLBACK, revision_of(cluster.spec))
        while active(cluster) == V2:
            cluster.round()
        cluster.settle()
        assert cluster.status["phase"] == "Failed"
        assert condition(cluster, "Progressing")["reason"] == "RolledBack"

    def test_rollback_works_long_after(self):
        cluster = swapped()
        cluster.settle()
        cluster.order(names.ROLLBACK, revision_of(cluster.spec))
        cluster.settle()
        assert active(cluster) == V1

    def test_a_revision_that_was_rolled_back_is_not_tried_while_the_order_stands(self):
        cluster = swapped(**KEEP)
        cluster.order(names.ROLLBACK, revision_of(cluster.spec))
        cluster.settle()
        cluster.order(names.RETRY, revision_of(cluster.spec))
        cluster.settle()
        assert active(cluster) == V1
        cluster.order(names.ROLLBACK, None)
        cluster.settle()
        assert active(cluster) == V2

    def test_pause_holds_every_step_and_goes_on_where_it_was(self):
        cluster = serving()
        cluster.order(names.PAUSE, revision_of(asked(V2)))
        cluster.edit(asked(V2))
        for _ in range(10):
            cluster.round()
        assert (cluster.status["phase"], len(cluster.fleets)) == ("Paused", 1)
        cluster.order(names.PAUSE, None)
        cluster.settle()
        assert active(cluster) == V2


class TestSuspend:
    def test_nothing_new_begins_and_nothing_is_lost(self):
        cluster = serving()
        before = cluster.observe().fleets
        cluster.edit(asked(V2) | {"suspend": True, "replicas": 3, "limits": {"maxQueue": 7}})
        for _ in range(6):
            assert cluster.round().actions == ()
        assert cluster.observe().fleets == before
        assert (cluster.status["phase"], condition(cluster, "Available")["status"]) == ("Suspended", "True")
        cluster.edit(asked(V2))
        cluster.settle()
        assert active(cluster) == V2

    def test_what_drains_goes_on_draining(self):
        cluster = swapped()
        cluster.edit(asked(V2) | {"suspend": True})
        for _ in range(20):
            cluster.round()
        assert cluster.running == {cluster.active: 1}


class TestInPlace:
    def test_a_wrong_answer_leaves_the_old_version_alone(self):
        cluster = serving(strategy="InPlace", **GOLDEN)
        cluster.wrong.add(V2)
        cluster.edit(asked(V2, strategy="InPlace", **GOLDEN))
        until(cluster, "Failed")
        pod = fleet_of(cluster, V1).pods[0]
        assert (pod.active, list(pod.held)) == (V1, [V1])
        assert condition(cluster, "Progressing")["reason"] == "VerificationFailed"

    def test_a_right_answer_gets_the_work(self):
        cluster = serving(strategy="InPlace", **GOLDEN)
        cluster.edit(asked(V2, strategy="InPlace", **GOLDEN))
        steps = [step for _ in range(20) if (step := cluster.round().step)]
        assert steps[:3] == ["load", "verify-incoming", "switch"]

    def test_it_waits_for_approval_beyond_its_deadline(self):
        wanted = asked(V2, strategy="InPlace", **BY_HAND)
        cluster = serving(strategy="InPlace", **BY_HAND)
        cluster.edit(wanted)
        for _ in range(8):
            cluster.round()
        cluster.tick(1000)
        cluster.round()
        assert condition(cluster, "Progressing")["reason"] == "ApprovalNeeded"
        cluster.order(names.PROMOTE, revision_of(wanted))
        assert cluster.round().step == "switch"

    def test_abort_unloads_it(self):
        wanted = asked(V2, strategy="InPlace", **BY_HAND)
        cluster = serving(strategy="InPlace", **BY_HAND)
        cluster.edit(wanted)
        for _ in range(8):
            cluster.round()
        cluster.order(names.ABORT, revision_of(wanted))
        assert cluster.round().step == "give-up"
        cluster.settle()
        assert (cluster.status["phase"], active(cluster)) == ("Failed", V1)


def test_streams_that_nobody_can_tell_of_are_left_out():
    cluster = serving()
    fleet_of(cluster, V1).pods[0].reachable = False
    cluster.round()
    assert "activeStreams" not in cluster.status["active"]
