"""What an edit would do, told before it is made."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_operator import names
from inference_operator.errors import InvalidSpec
from inference_operator.forecast import changes, forecast, render
from inference_operator.spec import parse
from tests.operator.model_cluster import ModelCluster, spec

V1, V2 = "1.0.0", "2.0.0"


def serving(version=V1, **sections):
    cluster = ModelCluster(spec(version, **sections))
    cluster.settle()
    return cluster


def steps(found):
    return [each.step for each in found.rounds if each.step]


def test_a_new_version_is_a_rollout_with_every_step_of_the_table():
    found = forecast(serving().observe(), spec(V2))
    assert found.rolls
    assert steps(found) == ["create", "promote", "order-drain", "mark-drained", "stop-drained"]
    assert found.status["active"]["version"] == V2
    assert found.said("Ready").startswith("Version 2.0.0 serves on 1 of 1 pods.")


def test_a_live_field_keeps_the_revision_and_takes_no_step():
    found = forecast(serving().observe(), spec(V1, limits={"maxQueue": 7}))
    assert not found.rolls
    assert found.before == found.after
    assert steps(found) == []
    assert [(change.path, change.effect, change.before, change.after) for change in found.changed] == [
        ("spec.limits.maxQueue", "live", 1024, 7)
    ]


def test_an_edit_that_changes_nothing_does_nothing():
    found = forecast(serving().observe(), spec(V1))
    assert (found.changed, found.rounds, found.rolls) == ((), (), False)
    assert "Nothing would be done." in render(found)


def test_going_back_to_a_version_that_is_kept_revives_its_fleet():
    cluster = serving()
    cluster.edit(spec(V2))
    cluster.settle()
    assert "revive" in steps(forecast(cluster.observe(), spec(V1)))


def test_from_the_middle_of_a_rollout_only_what_is_left_is_told():
    cluster = serving()
    cluster.edit(spec(V2))
    while cluster.active not in {
        name for name in cluster.fleets if cluster.fleets[name].annotations[names.FLEET_VERSION] == V2
    }:
        cluster.round()
    found = forecast(cluster.observe(), spec(V2))
    assert not found.rolls
    assert steps(found)[0] == "order-drain"


def test_streams_do_not_hold_up_a_cluster_in_which_all_goes_well():
    cluster = serving()
    cluster.open_streams(3)
    assert forecast(cluster.observe(), spec(V2)).status["phase"] == "Ready"


def test_what_would_be_refused_is_told_with_the_reason():
    cluster = serving()
    cluster.foreign("ConfigMap", next(iter(cluster.fleets)) + "-settings")
    found = forecast(cluster.observe(), spec(V2))
    assert "exists and does not belong to this model" in found.refused
    assert "Refused:" in render(found)
    assert not found.rolls


def test_a_stranger_in_the_way_is_a_refusal():
    cluster = ModelCluster()
    cluster.foreign("Service", "chat")
    assert "Service chat exists" in forecast(cluster.observe(), spec(V1)).refused


def test_a_spec_that_makes_no_sense_is_told_by_its_path():
    with pytest.raises(InvalidSpec, match=r"spec\.replicas"):
        forecast(serving().observe(), spec(V1, replicas=-1))


def test_mending_a_spec_that_made_no_sense_starts_from_what_serves():
    cluster = serving()
    cluster.edit(spec(V1, replicas=-1))
    found = forecast(cluster.observe(), spec(V2))
    assert found.before
    assert found.rolls


def test_clients_are_taken_as_if_their_secrets_were_there():
    found = forecast(serving().observe(), spec(V1, clients=[{"name": "web", "secretRef": "a"}]))
    assert not found.refused
    assert found.status["phase"] == "Ready"


def test_every_field_is_rolling_live_or_steering():
    effects = {
        "spec.model.version": "rolling",
        "spec.gpu.count": "rolling",
        "spec.server.nodeSelector.zone": "rolling",
        "spec.batching.maxWaitMs": "live",
        "spec.service.type": "live",
        "spec.replicas": "live",
        "spec.rollout.drainTimeoutSeconds": "steering",
    }
    wanted = spec(
        V2,
        gpu={"count": 3},
        server={"nodeSelector": {"zone": "a"}},
        batching={"maxWaitMs": 1},
        service={"type": "LoadBalancer"},
        replicas=4,
        rollout={"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 1},
    )
    found = {change.path: change.effect for change in changes(parse(spec(V1)), parse(wanted))}
    assert found == effects


EDITS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 4),
        "limits": st.fixed_dictionaries({"maxQueue": st.integers(0, 9)}),
        "server": st.fixed_dictionaries({"priorityClassName": st.sampled_from(["", "a"])}),
    },
)


@settings(max_examples=40)
@given(
    version=st.sampled_from([V1, V2]), sections=EDITS, streams=st.integers(0, 3), rounds=st.integers(0, 15)
)
def test_what_is_told_is_what_comes_to_be(version, sections, streams, rounds):
    """From any moment of a rollout: the cluster comes to the version and size that the forecast ends with."""
    cluster = serving()
    cluster.open_streams(streams)
    cluster.edit(spec(V2, replicas=2))
    for _ in range(rounds):
        cluster.round()
    wanted = spec(version, **sections)
    told = forecast(cluster.observe(), wanted)
    cluster.edit(wanted)
    cluster.finish_streams()
    cluster.settle()
    keys = ("phase", "replicas", "url", "selector")
    assert {key: told.status[key] for key in keys} == {key: cluster.status[key] for key in keys}


def test_the_text_shows_fields_steps_and_the_end():
    text = render(forecast(serving().observe(), spec(V2, limits={"maxQueue": 7})))
    assert max(map(len, text.splitlines())) <= 100
    for said in (
        "goes from revision",
        'spec.model.version    rolling  (new pods)           "1.0.0" -> "2.0.0"',
        "1. create",
        "Service chat selects fleet chat-",
        "In the end: Version 2.0.0 serves on 1 of 1 pods.",
    ):
        assert said in text


def test_a_swap_in_place_is_told_with_its_steps():
    found = forecast(serving().observe(), spec(V2, rollout={"strategy": "InPlace"}))
    assert steps(found) == ["load", "switch", "drain-version", "mark-idle", "drop-drained"]
    assert found.status["active"]["version"] == V2


def test_recreate_is_told_with_its_steps():
    found = forecast(serving().observe(), spec(V2, rollout={"strategy": "Recreate"}))
    assert steps(found)[0] == "recreate"
    assert steps(found)[-2:] == ["create", "promote"]
    assert found.status["active"]["version"] == V2


def test_fewer_pods_leave_in_the_forecast_too():
    found = forecast(serving(replicas=3).observe(), spec(V1, replicas=1))
    assert steps(found) == []
    assert found.status["active"]["replicas"] == 1
