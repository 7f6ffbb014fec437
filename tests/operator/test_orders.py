"""What people order in the middle of a rollout, suspend among it; and the same for versions that are loaded in place."""

from __future__ import annotations

from inference_operator import names
from tests.operator.trials import (
    BY_HAND,
    GOLDEN,
    KEEP,
    V1,
    V2,
    active,
    asked,
    condition,
    fleet_of,
    revision_of,
    serving,
    swapped,
    until,
)


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
