"""A version that is loaded inside the pods of the one before."""

from __future__ import annotations

from inference_operator import names
from inference_operator.plan import plan
from tests.operator.strategies import V2, listed, pods, progressing, serving, steps, wanted


def test_a_version_that_cannot_be_loaded_leaves_everything_as_it_was():
    cluster = serving()
    cluster.broken.add(V2)
    pod = pods(cluster)[0]
    cluster.open_streams(3)
    cluster.edit(wanted())
    assert steps(cluster) == ["load", "give-up"]
    assert pod.held == {"1.0.0": "ready"}
    assert listed(cluster) == ("1.0.0", ["1.0.0"])
    assert cluster.status["phase"] == "Failed"
    assert "goes on with version 1.0.0. Edit the spec to try again" in progressing(cluster)[2]
    assert cluster.status["active"]["activeStreams"] == 3
    assert plan(cluster.observe()).actions == ()
    cluster.broken.clear()
    cluster.edit(wanted(another := "2.0.1"))
    cluster.finish_streams()
    cluster.settle()
    assert cluster.status["active"]["version"] == another
    marks = cluster.fleets[cluster.active].annotations
    assert not {names.FAILED, names.FAILED_ASK, names.FAILED_REVISION, names.FAILED_AT} & marks.keys()


def test_a_version_that_loads_too_long_is_given_up():
    cluster = serving()
    cluster.silence_pod(0, reachable=False)
    cluster.edit(wanted())
    cluster.round()
    cluster.tick(61)
    assert cluster.round().step == "give-up"
    assert "was not ready within 60 s" in cluster.fleets[cluster.active].annotations[names.FAILED]


def test_without_memory_for_both_auto_gives_up_and_says_what_would_help():
    cluster = serving()
    cluster.heavy.add(V2)
    cluster.edit(wanted())
    assert steps(cluster) == ["load", "give-up"]
    assert progressing(cluster)[1] == "OutOfMemory"
    assert "With spec.rollout.strategy InPlace the old version makes way first" in progressing(cluster)[2]


def test_without_memory_for_both_in_place_lets_the_old_version_go_first():
    cluster = serving()
    cluster.heavy.add(V2)
    cluster.open_streams(2)
    cluster.edit(wanted(strategy="InPlace"))
    assert steps(cluster, 12) == ["load", "make-way"]
    pod = pods(cluster)[0]
    assert names.DRAIN in pod.annotations
    assert (pod.streams, pod.active) == (2, "1.0.0")
    cluster.finish_streams()
    assert steps(cluster) == ["load-alone", "switch"]
    assert pod.held == {V2: "ready"}
    assert names.DRAIN not in pod.annotations
    assert listed(cluster) == (V2, [V2])


def test_an_old_version_that_made_way_in_vain_comes_back():
    cluster = serving()
    cluster.heavy.add(V2)
    cluster.edit(wanted(strategy="InPlace"))
    steps(cluster, 4)
    cluster.heavy.clear()
    cluster.broken.add(V2)
    cluster.tick(20)
    steps(cluster, 10)
    cluster.tick(60)
    assert steps(cluster)[-1] == "give-up"
    pod = pods(cluster)[0]
    assert (pod.active, pod.held) == ("1.0.0", {"1.0.0": "ready"})
    assert names.DRAIN not in pod.annotations


def test_an_edit_in_mid_load_drops_what_is_not_wanted_any_more():
    cluster = serving()
    cluster.edit(wanted())
    cluster.round()
    cluster.edit(wanted("3.0.0"))
    assert steps(cluster, 20)[:3] == ["unload", "load", "switch"]
    cluster.settle()
    assert pods(cluster)[0].held == {"3.0.0": "ready"}


def test_going_back_while_the_old_version_is_still_loaded_is_a_switch():
    cluster = serving()
    cluster.open_streams(4)
    cluster.edit(wanted())
    steps(cluster, 8)
    cluster.edit(wanted("1.0.0"))
    assert steps(cluster, 6)[:2] == ["switch-back", "switch"]
    pod = pods(cluster)[0]
    assert (pod.active, pod.streams) == ("1.0.0", 4)


def test_a_pod_that_dies_after_a_swap_comes_back_with_the_new_version():
    cluster = serving()
    cluster.edit(wanted())
    cluster.settle()
    cluster.kill_pod(0)
    cluster.settle()
    pod = pods(cluster)[0]
    assert (pod.version, pod.active, pod.held) == ("1.0.0", V2, {V2: "ready"})


def test_after_a_swap_in_place_a_second_fleet_may_follow_and_the_first_name_is_not_taken_twice():
    cluster = serving(capacity=2)
    cluster.capacity = 1
    cluster.edit(wanted())
    cluster.settle()
    cluster.capacity = 2
    cluster.edit(wanted("1.0.0"))
    cluster.settle()
    assert cluster.status["active"]["version"] == "1.0.0"
    assert cluster.active.endswith("-2")
