"""The ways from one revision to the next: beside it, inside its pods, after it; and which of them Auto takes."""

from __future__ import annotations

import pytest

from inference_operator import names
from inference_operator.reasons import Phase
from tests.operator.strategies import V2, listed, pods, progressing, rounds_until, serving, steps, wanted


def test_auto_takes_a_second_fleet_where_one_fits():
    cluster = serving(capacity=2)
    cluster.edit(wanted())
    cluster.round()
    cluster.round()
    assert cluster.status["target"]["strategy"] == "BlueGreen"
    assert cluster.status["target"]["message"] == "there is room for a second fleet"
    cluster.settle()
    assert len(cluster.fleets) == 2
    assert cluster.status["active"]["version"] == V2


def test_auto_takes_a_second_fleet_where_nobody_can_tell():
    cluster = serving(capacity=2)
    cluster.room_is_known = False
    cluster.edit(wanted())
    cluster.round()
    cluster.round()
    assert cluster.status["target"]["message"] == "whether there is room is not known"


def test_auto_swaps_inside_the_pods_where_no_second_fleet_fits_and_cuts_no_stream():
    cluster = serving()
    cluster.open_streams(16)
    cluster.edit(wanted())
    pod = pods(cluster)[0]
    assert steps(cluster, 8) == ["load", "switch", "drain-version"]
    assert (pod.active, pod.older) == (V2, {"1.0.0": 16})
    assert cluster.status["active"]["version"] == V2
    assert cluster.status["draining"][0]["version"] == "1.0.0"
    assert cluster.status["draining"][0]["activeStreams"] == 16
    assert listed(cluster) == (V2, ["1.0.0", V2])
    cluster.open_streams(2)
    cluster.finish_streams()
    cluster.settle()
    assert pods(cluster) == [pod]
    assert pod.held == {V2: "ready"}
    assert listed(cluster) == (V2, [V2])
    assert len(cluster.fleets) == 1


def test_the_target_says_which_strategy_was_picked_and_why():
    cluster = serving()
    cluster.edit(wanted())
    cluster.round()
    cluster.round()
    target = cluster.status["target"]
    assert target["strategy"] == "InPlace"
    assert target["message"].startswith(
        "there is no room for a second fleet: 1 pod needs a place: node a has 0 of 1"
    )
    assert target["gates"][0]["name"] == "incoming-ready"


def test_the_choice_holds_though_room_comes_in_mid_way():
    cluster = serving()
    cluster.edit(wanted())
    cluster.round()
    cluster.capacity = 9
    cluster.settle()
    assert len(cluster.fleets) == 1


def test_the_choice_holds_though_room_goes_in_mid_way():
    cluster = serving(capacity=2)
    cluster.edit(wanted())
    cluster.round()
    cluster.capacity = 1
    cluster.tick()
    cluster.round()
    assert cluster.status["target"]["strategy"] == "BlueGreen"
    assert "incoming" not in cluster.status["target"]["gates"][0]["name"]


def test_a_second_fleet_that_was_asked_for_waits_for_room_and_says_what_lacks():
    cluster = serving()
    before = dict(cluster.fleets)
    cluster.edit(wanted(strategy="BlueGreen"))
    made = [cluster.round() for _ in range(90)][-1]
    assert made.actions == ()
    assert made.recheck_after == 15
    assert cluster.fleets == before
    assert progressing(cluster) == (
        "False",
        "InsufficientCapacity",
        "Version 2.0.0 is not begun. There is no room for a second fleet: 1 pod needs a place: node a has 0 of 1 pods free.",
    )
    assert cluster.status["phase"] == "Pending"
    cluster.capacity = 2
    cluster.settle()
    assert cluster.status["active"]["version"] == V2


def test_a_lack_of_room_that_only_warns_holds_nothing_up():
    cluster = serving()
    cluster.edit(wanted(strategy="BlueGreen", preflight="Warn"))
    cluster.round()
    cluster.round()
    assert len(cluster.fleets) == 2
    assert cluster.status["target"]["message"].startswith("there seems to be no room")


def test_nobody_looks_for_room_where_that_is_off():
    cluster = serving()
    cluster.edit(wanted(strategy="BlueGreen", preflight="Skip"))
    assert cluster.observe().room is None
    cluster.round()
    assert len(cluster.fleets) == 2


def test_room_is_looked_for_only_when_a_rollout_is_about_to_begin():
    cluster = serving(capacity=2)
    assert cluster.observe().room is None
    cluster.edit(wanted())
    assert cluster.observe().room is not None
    cluster.round()
    assert cluster.observe().room is None


def test_auto_waits_where_neither_a_second_fleet_nor_the_pods_will_do():
    cluster = serving()
    cluster.edit(wanted(server={"env": [{"name": "A", "value": "b"}]}))
    made = [cluster.round() for _ in range(5)][-1]
    assert made.actions == ()
    status, reason, message = progressing(cluster)
    assert (status, reason) == ("False", "InsufficientCapacity")
    assert "nor is InPlace possible: besides the version something changes that needs new pods" in message


@pytest.mark.parametrize(
    ("more", "bar"),
    [
        ({"server": {"priorityClassName": "x"}}, "something changes that needs new pods"),
        ({"version": "1.0.0"}, "the version stays 1.0.0"),
    ],
)
def test_in_place_where_it_is_not_possible_begins_nothing_and_says_why(more, bar):
    cluster = serving(capacity=9)
    asked = wanted(strategy="InPlace", **more)
    asked["model"] = asked["model"] | {"uri": "hf://org/other"}
    cluster.edit(asked)
    made = [cluster.round() for _ in range(3)][-1]
    assert made.actions == ()
    assert progressing(cluster)[1] == "InPlaceNotPossible"
    assert bar in progressing(cluster)[2]


def test_recreate_drains_stops_and_only_then_starts():
    cluster = serving()
    old = cluster.active
    cluster.open_streams(2)
    cluster.edit(wanted(strategy="Recreate"))
    assert steps(cluster, 12) == ["recreate", "tell-pods"]
    assert cluster.fleets[old].pods[0].streams == 2
    assert "waits until version 1.0.0 has gone" in progressing(cluster)[2]
    assert cluster.status["target"]["strategy"] == "Recreate"
    assert len(cluster.fleets) == 1
    cluster.finish_streams()
    assert steps(cluster) == ["mark-drained", "stop-drained", "create", "promote"]
    assert cluster.status["phase"] == Phase.READY
    assert cluster.running == {cluster.active: 1}
    assert cluster.active != old


def test_what_made_way_in_vain_serves_again():
    cluster = serving()
    old = cluster.active
    cluster.broken.add(V2)
    cluster.edit(wanted(strategy="Recreate"))
    assert steps(cluster, 16)[-1] == "create"
    cluster.tick(60)
    cluster.round()
    for _ in range(5):
        cluster.round()
    assert cluster.active == old
    assert cluster.running == {old: 1}
    assert cluster.fleets[old].pods[0].ready
    assert cluster.status["phase"] == "Failed"


def test_an_edit_that_takes_recreate_back_before_the_stop_leaves_the_old_one_serving():
    cluster = serving()
    old = cluster.active
    cluster.open_streams(1)
    cluster.edit(wanted(strategy="Recreate"))
    steps(cluster, 5)
    cluster.edit(wanted("1.0.0"))
    cluster.settle()
    assert cluster.running == {old: 1}
    assert names.DRAIN not in cluster.fleets[old].pods[0].annotations
    assert not {names.RECREATE, names.DRAIN_STARTED} & cluster.fleets[old].annotations.keys()


def test_a_swap_whose_pods_all_went_comes_to_its_end():
    cluster = serving()
    cluster.edit(wanted())
    assert steps(cluster, 4)[-1] == "switch"
    cluster.edit(wanted(replicas=0))
    cluster.settle()
    assert cluster.status["active"]["version"] == V2
    assert cluster.running == {}
    cluster.edit(wanted())
    cluster.settle()
    assert pods(cluster)[0].held == {V2: "ready"}


def test_a_version_is_not_loaded_into_pods_that_are_not_wanted():
    cluster = serving()
    cluster.edit(wanted())
    cluster.round()
    cluster.edit(wanted(replicas=0))
    cluster.settle()
    assert cluster.status["active"]["version"] == V2
    assert cluster.running == {}


def test_a_fleet_that_leaves_makes_room_and_is_waited_for():
    cluster = serving(capacity=2)
    cluster.edit(wanted())
    rounds_until(cluster, "order-drain")
    cluster.fleets[next(iter(cluster.fleets))].pods[0].streams = 1
    cluster.edit(wanted("3.0.0"))
    assert steps(cluster, 10) == []
    assert "makes some" in progressing(cluster)[2]
    cluster.finish_streams()
    cluster.settle()
    assert cluster.status["active"]["version"] == "3.0.0"
    assert names.IN_PLACE_SINCE not in cluster.fleets[cluster.active].annotations


def test_a_fleet_that_is_only_kept_warm_gives_its_room_to_the_next():
    cluster = serving(capacity=2)
    cluster.edit(wanted(keepPreviousSeconds=3600))
    for _ in range(30):
        cluster.round()
    assert len(cluster.running) == 2
    cluster.edit(wanted("3.0.0", keepPreviousSeconds=3600))
    for _ in range(40):
        cluster.round()
    assert cluster.status["active"]["version"] == "3.0.0"
    assert names.IN_PLACE_SINCE not in cluster.fleets[cluster.active].annotations
