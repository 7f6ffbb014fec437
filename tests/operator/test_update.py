"""A newer operator meets fleets that an older one made: it restarts nothing, says what would differ, and waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inference_operator import names
from inference_operator.manifests import container
from inference_operator.plan import plan
from tests.operator.model_cluster import ModelCluster, spec
from tests.operator.watched_cluster import WatchedCluster

V1, V2 = "1.0.0", "2.0.0"


class Upgraded(WatchedCluster):
    """Its operator has another default image than the one that made what is there."""

    default_image = "server:1"

    def _seen(self):
        return replace(super()._seen(), default_image=self.default_image)


def serving(**sections) -> Upgraded:
    cluster = Upgraded()
    cluster.edit(spec(V1, **{"replicas": 2} | sections))
    cluster.settle()
    return cluster


def update_available(cluster: ModelCluster) -> tuple[str, str, str]:
    made = plan(cluster.observe())
    (found,) = [each for each in made.status["conditions"] if each["type"] == "UpdateAvailable"]
    return found["status"], found["reason"], found["message"]


def pods(cluster: ModelCluster) -> set[str]:
    return {pod.uid for pod in cluster._pods()}


def test_the_same_operator_has_no_update_for_its_own_fleets():
    assert update_available(serving())[:2] == ("False", "UpToDate")


def test_an_operator_with_another_default_image_restarts_nothing_and_says_so():
    cluster = serving()
    before, manifest = pods(cluster), cluster.fleets[cluster.active].manifest
    cluster.default_image = "server:2"
    assert plan(cluster.observe()).actions == ()
    cluster.settle()
    assert (pods(cluster), cluster.fleets[cluster.active].manifest) == (before, manifest)
    status, reason, message = update_available(cluster)
    assert (status, reason) == ("True", "PodsWouldDiffer")
    assert "image server:2 instead of server:1" in message
    assert "change spec.server.restartedAt" in message


def test_an_operator_that_makes_pods_otherwise_restarts_nothing_and_says_so(monkeypatch):
    cluster = serving()
    monkeypatch.setattr(container, "_STARTUP_ATTEMPTS", 7)
    assert plan(cluster.observe()).actions == ()
    status, _, message = update_available(cluster)
    assert status == "True"
    assert "the pod as this operator makes it" in message


def test_a_drain_timeout_that_pods_were_not_born_with_is_told():
    cluster = serving()
    cluster.edit(cluster.spec | {"rollout": cluster.spec["rollout"] | {"drainTimeoutSeconds": 30}})
    cluster.settle()
    assert "30 s to drain instead of 120 s" in update_available(cluster)[2]


@pytest.mark.parametrize("strategy", ["Auto", "BlueGreen"])
def test_an_update_is_taken_by_an_edit_as_a_rollout_like_any_other(strategy):
    cluster = serving()
    before = pods(cluster)
    cluster.default_image = "server:2"
    cluster.open_streams(1)
    rollout = cluster.spec["rollout"] | {"strategy": strategy}
    cluster.edit(cluster.spec | {"rollout": rollout, "server": {"restartedAt": "2026-11-21"}})
    for _ in range(30):
        cluster.round()
    assert cluster.status["phase"] == "Draining", "the old pods finish their streams first"
    cluster.finish_streams()
    cluster.settle()
    assert cluster.status["phase"] == "Ready"
    assert not pods(cluster) & before
    assert update_available(cluster)[:2] == ("False", "UpToDate")


def test_an_edit_of_another_rolling_field_takes_it_too():
    cluster = serving()
    cluster.default_image = "server:2"
    cluster.edit(spec(V2, replicas=2))
    assert update_available(cluster)[:2] == ("False", "RollingOut")
    cluster.settle()
    assert update_available(cluster)[:2] == ("False", "UpToDate")


@pytest.mark.parametrize("mark", [None, "", "{}", "nonsense"])
def test_a_fleet_that_does_not_tell_what_it_was_made_from_is_left_alone(mark):
    cluster = serving()
    marks = cluster.fleets[cluster.active].annotations
    marks.pop(names.TEMPLATE)
    if mark is not None:
        marks[names.TEMPLATE] = mark
    cluster.default_image = "server:2"
    assert plan(cluster.observe()).actions == ()
    assert update_available(cluster)[:2] == ("False", "NotCompared")
