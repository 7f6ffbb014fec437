"""Given what is there, what is done: a table of sentences.

Each case brings a small cluster into a state; wanted are the actions of the one plan made from it, with a fleet
written as `v1`, `v2` after its version.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inference_operator.plan import plan
from tests.operator.mishaps import (
    active_deployment_deleted,
    active_told_to_drain_by_hand,
    asked_for_another_since,
    forbidden_edit,
    forbidden_while_draining,
    foreign_deployment,
    foreign_service,
    killed_in_mid_creation,
    nonsense,
    scaled_by_hand,
    second_fleet_of_the_active_revision,
    selector_spoiled,
    service_changed_by_hand,
    service_deleted,
    service_deleted_in_mid_rollout,
)
from tests.operator.model_cluster import ModelCluster, describe
from tests.operator.situations import (
    edited_again,
    edited_back_to_the_active,
    edited_back_to_the_draining,
    edited_back_to_the_retired,
    failed_and_edited,
    failed_and_scaled,
    failed_then_away_and_back,
    first_fleet_ready,
    flipped,
    flipped_and_scaled_to_zero,
    history_over_its_limit,
    idle_right_after_the_order,
    live_edit,
    overdue,
    past_the_deadline,
    pod_born_while_draining,
    pods_gone,
    preview_of_other_pods,
    preview_that_is_silent,
    scaled_in_mid_rollout,
    silent_and_idle,
    streams_come_back,
    streams_end_once,
    streams_end_twice,
)
from tests.operator.versions import (
    FLEETS,
    draining,
    failed,
    preparing,
    said,
    serving,
)


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
