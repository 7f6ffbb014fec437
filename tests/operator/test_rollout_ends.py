"""How a rollout ends after a kill, a failure or a deletion in its middle."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from inference_operator import names
from inference_operator.plan import plan
from tests.operator.model_cluster import ModelCluster, spec
from tests.operator.watched_cluster import WatchedCluster
from tests.operator.wishes import EXAMPLES, VERSIONS, wanted


@given(
    edits=st.lists(st.tuples(wanted(), st.integers(0, 12)), min_size=1, max_size=3),
    kill=st.integers(0, 40),
    after=st.integers(0, 6),
)
@settings(max_examples=EXAMPLES)
def test_a_kill_between_any_two_actions_changes_nothing_but_time(edits, kill, after):
    assert _end(edits, kill=kill, after=after) == _end(edits, kill=None, after=0)


def _end(edits, *, kill, after):
    """What is there at rest after the edits, with the operator killed in round `kill` after some actions."""
    cluster, number = ModelCluster(), 0
    for asked, rounds in [*edits, (edits[-1][0], 41)]:
        cluster.edit(asked)
        for _ in range(rounds):
            made = plan(cluster.observe())
            cluster.carry_out(made, stop_after=after if number == kill else None)
            cluster.tick()
            number += 1
    cluster.settle()
    version = cluster.fleets[cluster.active].annotations[names.FLEET_VERSION]
    return version, sorted(cluster.running.values()), cluster.status["phase"]


@given(asked=wanted(), streams=st.integers(0, 3))
@settings(max_examples=EXAMPLES // 5)
def test_a_rollout_that_fails_leaves_the_active_fleet_as_it_was(asked, streams):
    cluster = WatchedCluster()
    cluster.edit(spec(VERSIONS[0], replicas=2))
    cluster.settle()
    cluster.open_streams(streams)
    before = copy.deepcopy(cluster.fleets[cluster.active])
    cluster.broken.add(VERSIONS[1])
    rollout = asked["rollout"] | {"strategy": "BlueGreen"}
    cluster.edit(spec(VERSIONS[1], replicas=2, rollout=rollout))
    for _ in range(90):
        cluster.round()
    assert cluster.status["phase"] == "Failed"
    after = cluster.fleets[cluster.active]
    for pod in (*before.pods, *after.pods):
        pod.annotations.pop(names.SETTINGS, None)
        pod.generation = 0
    assert after == before


@given(asked=wanted(), rounds=st.integers(0, 40))
@settings(max_examples=EXAMPLES // 5)
def test_a_model_that_is_being_deleted_gets_nothing_more(asked, rounds):
    cluster = WatchedCluster()
    cluster.edit(asked)
    for _ in range(rounds):
        cluster.round()
    cluster.deleting = True
    made = plan(cluster.observe())
    assert (made.actions, made.status, made.events) == ((), None, ())
