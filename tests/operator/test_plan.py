"""Given what is there, what is done: a table of sentences.

Each case brings a small cluster into a state; wanted are the actions of the one plan made from it, with a fleet
written as `v1`, `v2` after its version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from inference_operator import names
from inference_operator.actions import Plan
from inference_operator.plan import plan
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import ModelCluster, Stale, describe, spec

V1, V2, V3 = "1.0.0", "2.0.0", "3.0.0"
FLEETS = {names.fleet("chat", revision(parse(spec(v)))): f"v{v[0]}" for v in (V1, V2, V3)}


def said(made: Plan) -> list[str]:
    lines = [describe(action) for action in made.actions]
    for fleet, short in FLEETS.items():
        lines = [line.replace(fleet, short) for line in lines]
    return lines


def fleet(cluster: ModelCluster, short: str):
    found = {FLEETS.get(name, name): fleet for name, fleet in cluster.fleets.items()}
    return found[short]


def rounds(cluster: ModelCluster, count: int) -> ModelCluster:
    for _ in range(count):
        cluster.round()
    return cluster


def rounds_until(cluster: ModelCluster, done: Callable[[], object], most: int = 60) -> None:
    for _ in range(most):
        if done():
            return
        cluster.round()
    raise AssertionError(f"it did not come to that: {cluster.log[-12:]}")


def serving(**sections) -> ModelCluster:
    """Version 1 serves, nothing is left to do."""
    cluster = ModelCluster(spec(V1, **sections))
    cluster.settle()
    return cluster


def preparing(*, broken: bool = True) -> ModelCluster:
    """Version 2 has its fleet, whose pod is not ready unless `broken` is False."""
    cluster = serving()
    if broken:
        cluster.broken.add(V2)
    cluster.edit(spec(V2))
    return rounds(cluster, 4 if broken else 2)


def draining(streams: int = 2) -> ModelCluster:
    """Version 2 serves, version 1 was told to drain and has streams."""
    cluster = serving()
    cluster.open_streams(streams)
    cluster.edit(spec(V2))
    rounds_until(cluster, lambda: names.DRAIN_STARTED in fleet(cluster, "v1").annotations)
    return rounds(cluster, 8)


def failed() -> ModelCluster:
    cluster = preparing()
    cluster.tick(60)
    return rounds(cluster, 4)


def test_a_new_model_gets_its_services_and_its_first_fleet():
    made = plan(ModelCluster().observe())
    assert said(made) == [
        "apply Service chat",
        "apply Service chat-preview",
        "apply NetworkPolicy chat-pods",
        "apply ConfigMap v1-settings",
        "apply PodDisruptionBudget v1",
        "apply Deployment v1",
    ]


def first_fleet_ready() -> ModelCluster:
    cluster = ModelCluster()
    rounds_until(cluster, lambda: "promoting" in str(said(plan(cluster.observe()))))
    return cluster


def live_edit() -> ModelCluster:
    cluster = serving()
    cluster.edit(spec(V1, limits={"maxQueue": 7}))
    return cluster


def scaled_in_mid_rollout() -> ModelCluster:
    cluster = preparing()
    cluster.edit(spec(V2, replicas=2))
    return cluster


def preview_of_other_pods() -> ModelCluster:
    cluster = preparing(broken=False)
    cluster.endpoints["chat-preview"] = {"pod-of-another": True}
    return cluster


def preview_that_is_silent() -> ModelCluster:
    cluster = preparing(broken=False)
    fleet(cluster, "v2").pods[0].reachable = False
    return cluster


def flipped(*, lag: bool) -> ModelCluster:
    cluster = serving()
    cluster.edit(spec(V2))
    old = cluster.endpoints["chat"]
    rounds_until(cluster, lambda: FLEETS[cluster.active] == "v2")
    new = cluster.endpoints["chat"]
    cluster.endpoints["chat"] = old
    cluster.carry_out(plan(cluster.observe()))
    cluster.endpoints["chat"] = (old | new) if lag else new
    return cluster


def flipped_and_scaled_to_zero() -> ModelCluster:
    cluster = flipped(lag=False)
    cluster.edit(spec(V2, replicas=0))
    cluster.endpoints["chat"] = {}
    return cluster


def pod_born_while_draining() -> ModelCluster:
    cluster = draining()
    cluster.kill_pod(0)
    cluster.tick()
    return cluster


def streams_end_once() -> ModelCluster:
    cluster = draining()
    cluster.finish_streams()
    return cluster


def streams_end_twice() -> ModelCluster:
    return rounds(streams_end_once(), 2)


def idle_right_after_the_order() -> ModelCluster:
    """Two looks found no stream, but latecomers are still served."""
    cluster = serving()
    cluster.edit(spec(V2))
    rounds_until(cluster, lambda: names.DRAINED_AT in fleet(cluster, "v1").annotations)
    cluster.tick(2)
    return cluster


def streams_come_back() -> ModelCluster:
    cluster = rounds(streams_end_once(), 1)
    fleet(cluster, "v1").pods[0].streams = 1
    return cluster


def silent_and_idle() -> ModelCluster:
    cluster = streams_end_once()
    fleet(cluster, "v1").pods[0].reachable = False
    return cluster


def overdue() -> ModelCluster:
    cluster = draining()
    cluster.tick(120)
    return cluster


def pods_gone() -> ModelCluster:
    cluster = draining()
    fleet(cluster, "v1").pods.clear()
    return cluster


def edited_again() -> ModelCluster:
    cluster = preparing()
    cluster.edit(spec(V3))
    return cluster


def edited_back_to_the_active() -> ModelCluster:
    cluster = preparing()
    cluster.edit(spec(V1))
    return cluster


def edited_back_to_the_draining() -> ModelCluster:
    cluster = draining()
    cluster.edit(spec(V1))
    return cluster


def edited_back_to_the_retired() -> ModelCluster:
    cluster = draining(0)
    cluster.settle()
    cluster.edit(spec(V1))
    return cluster


def past_the_deadline() -> ModelCluster:
    cluster = preparing()
    cluster.tick(60)
    return cluster


def failed_and_scaled() -> ModelCluster:
    cluster = failed()
    cluster.edit(spec(V2, replicas=3))
    return cluster


def failed_and_edited() -> ModelCluster:
    cluster = failed()
    cluster.edit(spec(V2, limits={"maxQueue": 7}))
    return cluster


def failed_then_away_and_back() -> ModelCluster:
    cluster = failed()
    cluster.edit(spec(V1))
    cluster.round()
    cluster.edit(spec(V2))
    return cluster


def history_over_its_limit() -> ModelCluster:
    cluster = draining(0)
    cluster.settle()
    none = {"drainTimeoutSeconds": 120, "historyLimit": 0}
    cluster.edit(spec(V2, rollout=none))
    return cluster


def killed_in_mid_creation() -> ModelCluster:
    cluster = serving()
    cluster.edit(spec(V2))
    made = plan(cluster.observe())
    cluster.carry_out(made, stop_after=len(made.actions) - 1)
    return cluster


def asked_for_another_since() -> ModelCluster:
    cluster = killed_in_mid_creation()
    cluster.edit(spec(V1))
    return cluster


def second_fleet_of_the_active_revision() -> ModelCluster:
    cluster = serving()
    twin = replace(fleet(cluster, "v1"), uid="twin", pods=[], annotations={})
    twin.annotations = {
        key: value
        for key, value in fleet(cluster, "v1").annotations.items()
        if key not in {names.PROMOTED_AT, names.PROMOTING}
    }
    cluster.fleets[f"{cluster.active}-2"] = twin
    return cluster


def foreign_service() -> ModelCluster:
    cluster = ModelCluster()
    cluster.foreign("Service", "chat")
    return cluster


def foreign_deployment() -> ModelCluster:
    cluster = ModelCluster()
    cluster.foreign("Deployment", next(iter(FLEETS)))
    return cluster


CLIENTS = [{"name": "web", "secretRef": "web-key"}]


def forbidden_edit() -> ModelCluster:
    cluster = serving()
    cluster.secrets_refused = "Secrets may not be read"
    cluster.edit(spec(V2, clients=CLIENTS, replicas=5, limits={"maxQueue": 7}))
    return cluster


def forbidden_while_draining() -> ModelCluster:
    cluster = streams_end_twice()
    cluster.secrets_refused = "Secrets may not be read"
    cluster.edit(spec(V3, clients=CLIENTS))
    return cluster


def nonsense() -> ModelCluster:
    cluster = serving()
    cluster.edit({"model": "x"})
    return cluster


def service_deleted() -> ModelCluster:
    cluster = serving()
    cluster.delete_service("chat")
    return cluster


def service_deleted_in_mid_rollout() -> ModelCluster:
    cluster = preparing()
    cluster.delete_service("chat")
    return rounds(cluster, 1)


def selector_spoiled() -> ModelCluster:
    cluster = serving()
    cluster.children["Service", "chat"].content["spec"]["selector"] = {"app": "other"}
    return cluster


def scaled_by_hand() -> ModelCluster:
    cluster = serving()
    fleet(cluster, "v1").replicas = 5
    return cluster


def active_deployment_deleted() -> ModelCluster:
    cluster = serving()
    del cluster.fleets[cluster.active]
    return cluster


def active_told_to_drain_by_hand() -> ModelCluster:
    cluster = serving()
    fleet(cluster, "v1").annotations[names.DRAIN_STARTED] = "2026-01-01T12:00:00Z"
    fleet(cluster, "v1").pods[0].annotations[names.DRAIN] = "2026-01-01T12:00:00Z"
    return cluster


def service_changed_by_hand() -> ModelCluster:
    cluster = serving()
    cluster.children["Service", "chat"].content["spec"]["ports"] = []
    return cluster


Case = tuple[Callable[[], ModelCluster], list[str]]
TABLE: dict[str, Case] = {
    "the first fleet is ready: it gets the traffic": (
        first_fleet_ready,
        ["patch v1 +promoting", "flip chat to v1"],
    ),
    "at rest nothing is done": (serving, []),
    "a live field reaches the pods that run, and nothing is created": (
        live_edit,
        ["apply ConfigMap v1-settings", "annotate v1-POD +settings"],
    ),
    "a preview that is not ready is waited for": (preparing, []),
    "more replicas in mid-rollout: both fleets grow": (
        scaled_in_mid_rollout,
        [
            "apply ConfigMap v1-settings",
            "apply ConfigMap v2-settings",
            "patch v1 to 2",
            "annotate v1-POD +settings",
            "annotate v2-POD +settings",
            "patch v2 to 2",
        ],
    ),
    "ready pods that the preview Service does not list get no traffic": (preview_of_other_pods, []),
    "a ready pod that cannot be asked gets no traffic": (preview_that_is_silent, []),
    "old pods among the endpoints: no order to drain yet": (lambda: flipped(lag=True), []),
    "only new pods among the endpoints: the old ones are told to drain": (
        lambda: flipped(lag=False),
        ["patch v1 +drain-started", "annotate v1-POD +drain"],
    ),
    "the successor was scaled to zero at once: the old pods are told to drain": (
        flipped_and_scaled_to_zero,
        [
            "apply ConfigMap v2-settings",
            "apply ConfigMap v1-settings",
            "annotate v2-POD +settings",
            "annotate v1-POD +settings",
            "patch v1 +drain-started",
            "annotate v1-POD +drain",
        ],
    ),
    "streams run on: they are waited for": (draining, []),
    "a pod born to a draining fleet is told too": (
        pod_born_while_draining,
        ["annotate v1-POD +settings", "annotate v1-POD +drain"],
    ),
    "no stream, for the first time: it is written down": (streams_end_once, ["patch v1 +drained-at"]),
    "no stream, for the second time: the fleet is stopped": (streams_end_twice, ["patch v1 to 0"]),
    "no stream right after the order: latecomers have time to arrive": (idle_right_after_the_order, []),
    "a stream between the two looks: it goes on draining": (streams_come_back, ["patch v1 -drained-at"]),
    "a draining pod that cannot be asked is not taken for idle": (silent_and_idle, []),
    "the drain deadline passes: the fleet is stopped": (overdue, ["patch v1 to 0"]),
    "a draining pod that is gone is done": (pods_gone, ["patch v1 +drained-at"]),
    "a newer edit: the superseded preview is stopped before another is made": (
        edited_again,
        [
            "apply Service chat-preview",
            "apply ConfigMap v1-settings",
            "annotate v1-POD +settings",
            "delete PodDisruptionBudget v2",
            "patch v2 to 0",
        ],
    ),
    "an edit back to the active version: the preview is stopped, and that is all": (
        edited_back_to_the_active,
        [
            "apply Service chat-preview",
            "apply ConfigMap v1-settings",
            "annotate v1-POD +settings",
            "delete PodDisruptionBudget v2",
            "patch v2 to 0",
        ],
    ),
    "an edit back to a version that drains: its order to drain is taken back": (
        edited_back_to_the_draining,
        [
            "apply Service chat-preview",
            "apply ConfigMap v2-settings",
            "apply ConfigMap v1-settings",
            "annotate v2-POD +settings",
            "annotate v1-POD +settings",
            "patch v1 +prepare-started +recalled -drain-started",
            "annotate v1-POD -drain",
        ],
    ),
    "an edit back to a version at zero: the fleet it had comes back": (
        edited_back_to_the_retired,
        [
            "apply ConfigMap v2-settings",
            "annotate v2-POD +settings",
            "apply ConfigMap v1-settings",
            "patch v1 to 1 +prepare-started +strategy -drain-started -drained-at -promoted-at -promoting",
        ],
    ),
    "the deadline passes: the preview is stopped, what serves is not touched": (
        past_the_deadline,
        ["patch v2 to 0 +failed +failed-ask +failed-at"],
    ),
    "what failed is not tried again by itself": (failed, []),
    "what failed is not tried again because of a scaling": (
        failed_and_scaled,
        ["apply ConfigMap v1-settings", "patch v1 to 3", "annotate v1-POD +settings"],
    ),
    "what failed is tried again when the spec is edited": (
        failed_and_edited,
        [
            "apply ConfigMap v1-settings",
            "annotate v1-POD +settings",
            "patch v2 -failed-ask",
            "apply ConfigMap v2-2-settings",
            "apply PodDisruptionBudget v2-2",
            "apply Deployment v2-2",
        ],
    ),
    "what failed is tried again when it is asked for anew": (
        failed_then_away_and_back,
        [
            "apply ConfigMap v1-settings",
            "annotate v1-POD +settings",
            "apply ConfigMap v2-2-settings",
            "apply PodDisruptionBudget v2-2",
            "apply Deployment v2-2",
        ],
    ),
    "more fleets at zero than are kept: the oldest is deleted": (
        history_over_its_limit,
        ["apply ConfigMap v2-settings", "annotate v2-POD +settings", "delete Deployment v1"],
    ),
    "killed while a fleet was made: the rest of it is made": (
        killed_in_mid_creation,
        ["apply Deployment v2"],
    ),
    "killed while a fleet was made that nobody wants now: its parts are deleted": (
        asked_for_another_since,
        [
            "apply ConfigMap v1-settings",
            "annotate v1-POD +settings",
            "delete ConfigMap v2-settings",
            "delete PodDisruptionBudget v2",
        ],
    ),
    "a second fleet of the active revision is stopped": (
        second_fleet_of_the_active_revision,
        ["patch v1-2 to 0"],
    ),
    "a stranger's Service is not touched, and nothing else is made": (foreign_service, []),
    "a stranger's Deployment has the name: the fleet takes another": (
        foreign_deployment,
        [
            "apply Service chat",
            "apply Service chat-preview",
            "apply NetworkPolicy chat-pods",
            "apply ConfigMap v1-2-settings",
            "apply PodDisruptionBudget v1-2",
            "apply Deployment v1-2",
        ],
    ),
    "a field that may not be acted on: nothing of the edit is done": (forbidden_edit, []),
    "a field that may not be acted on: what drains goes on draining": (
        forbidden_while_draining,
        ["patch v1 to 0"],
    ),
    "a spec that makes no sense: nothing is done": (nonsense, []),
    "the Service was deleted: it is made again": (service_deleted, ["apply Service chat"]),
    "the Service lost its selector: traffic goes back to where it was": (
        service_deleted_in_mid_rollout,
        ["flip chat to v1"],
    ),
    "somebody spoiled the selector: traffic goes back to where it was": (
        selector_spoiled,
        ["flip chat to v1"],
    ),
    "somebody scaled the active Deployment: it gets its size back": (scaled_by_hand, ["patch v1 to 1"]),
    "somebody deleted the active Deployment: it is made again": (
        active_deployment_deleted,
        ["apply Service chat-preview", "apply Deployment v1"],
    ),
    "the active fleet has an order to drain: it is taken back": (
        active_told_to_drain_by_hand,
        ["patch v1 -drain-started", "annotate v1-POD -drain"],
    ),
    "somebody changed what we own of a Service: it is put right": (
        service_changed_by_hand,
        ["apply Service chat"],
    ),
}


@pytest.mark.parametrize(("given", "wanted"), TABLE.values(), ids=TABLE.keys())
def test_what_is_done(given, wanted):
    cluster = given()
    pods = {pod.name: pod.name.rsplit("-", 1)[0] + "-POD" for pod in cluster._pods()}
    lines = [describe(action) for action in plan(cluster.observe()).actions]
    for long, short in [*pods.items(), *FLEETS.items()]:
        lines = [line.replace(long, short) for line in lines]
    assert lines == wanted


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
