"""What holds of every plan, whatever the table says."""

from __future__ import annotations

import pytest

from inference_operator.plan import plan
from tests.operator.model_cluster import ModelCluster, Stale, spec
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
)


def test_a_model_that_is_being_deleted_is_left_alone():
    cluster = ModelCluster()
    cluster.deleting = True
    made = plan(cluster.observe())
    assert (made.actions, made.status, made.events) == ((), None, ())


def test_a_fleet_that_failed_is_kept_though_no_history_is_wanted():
    """Deleting it would forget the failure, and the next round would try again, for ever."""
    cluster = failed()
    none = {"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 120, "historyLimit": 0}
    cluster.edit(spec(V2, rollout=none))
    rounds(cluster, 4)
    cluster.tick(60)
    cluster.settle()
    assert cluster.status["phase"] == "Failed"


def test_several_fleets_drain_at_once():
    cluster = draining()
    cluster.open_streams(1)
    cluster.edit(spec(V3))
    rounds(cluster, 12)
    assert [(each["version"], each["activeStreams"]) for each in cluster.status["draining"]] == [
        (V1, 2),
        (V2, 1),
    ]
    assert cluster.status["active"]["version"] == V3


def test_a_failed_rollout_leaves_the_active_deployment_byte_for_byte():
    cluster = preparing()
    before = cluster.observe().fleets[0]
    cluster.tick(60)
    rounds(cluster, 6)
    after = cluster.observe().fleets[0]
    assert (
        (before.version, before.resource_version)
        == (after.version, after.resource_version)
        == (
            V1,
            before.resource_version,
        )
    )


def test_a_plan_made_before_the_flip_cannot_stop_the_fleet_that_has_the_traffic_since():
    cluster = preparing()
    cluster.edit(spec(V3))
    old = plan(cluster.observe())
    assert said(old)[-1] == "patch v2 to 0"
    cluster.edit(spec(V2))
    cluster.broken.clear()
    rounds_until(cluster, lambda: FLEETS[cluster.active] == "v2")
    with pytest.raises(Stale):
        cluster.act(old.actions[-1])
    assert fleet(cluster, "v2").replicas == 1


def test_the_same_observation_gives_the_same_plan():
    observed = preparing().observe()
    assert plan(observed) == plan(observed)
