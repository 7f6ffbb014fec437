"""What a person reads: conditions, blocks, events, and when the next look is due."""

from __future__ import annotations

from dataclasses import replace

from inference_operator.actions import Plan
from inference_operator.news import news
from inference_operator.observed import ClientKeys, Trouble
from inference_operator.plan import plan
from inference_operator.reports import PodReport
from tests.operator.model_cluster import ModelCluster, describe, spec

V1, V2 = "1.0.0", "2.0.0"


def condition(made: Plan, kind: str) -> tuple[str, str, str]:
    (found,) = [each for each in made.status["conditions"] if each["type"] == kind]
    return found["status"], found["reason"], found["message"]


def serving() -> ModelCluster:
    cluster = ModelCluster()
    cluster.settle()
    return cluster


def stuck() -> ModelCluster:
    """Version 1 serves; version 2 has been asked for and its pod does not come up."""
    cluster = serving()
    cluster.broken.add(V2)
    cluster.edit(spec(V2))
    for _ in range(4):
        cluster.round()
    return cluster


def with_trouble(cluster: ModelCluster, **facts) -> Plan:
    """The plan when the pods of the newest fleet suffer from `facts`."""
    observed = cluster.observe()
    newest = observed.fleets[-1]
    pods = tuple(replace(each, ready=False, report=None, **facts) for each in newest.pods)
    return plan(replace(observed, fleets=(*observed.fleets[:-1], replace(newest, pods=pods))))


def test_at_rest_it_tells_the_version_the_pods_and_the_generation_of_the_settings():
    made = plan(serving().observe())
    assert condition(made, "Ready") == (
        "True",
        "Serving",
        "Version 1.0.0 serves on 1 of 1 pods. 1/1 pods run generation 1.",
    )
    assert made.status["phase"] == "Ready"
    assert made.status["url"] == "http://chat.default.svc"
    assert (
        made.status["selector"] == f"realtime-serve.io/model=chat,realtime-serve.io/fleet={serving().active}"
    )
    assert "target" not in made.status
    assert made.recheck_after is None


def test_a_preview_that_fails_takes_nothing_from_what_serves():
    made = with_trouble(stuck(), waiting=Trouble(reason="ImagePullBackOff", message="manifest unknown"))
    assert condition(made, "Available")[:2] == ("True", "Serving")
    status, reason, message = condition(made, "Progressing")
    assert (status, reason) == ("True", "ImagePullFailed")
    assert message.startswith("Version 2.0.0 is being prepared: 0 of 1 pods")
    assert "manifest unknown" in message
    assert condition(made, "Ready")[0] == "False"


def test_an_alarming_reason_is_an_event_once():
    cluster = stuck()
    trouble = {"unschedulable": "0/1 nodes are available: 1 Insufficient cpu."}
    first = with_trouble(cluster, **trouble)
    assert [(event.type, event.reason) for event in first.events] == [("Warning", "Unschedulable")]
    cluster.status = dict(first.status)
    assert with_trouble(cluster, **trouble).events == ()


def test_a_failed_rollout_tells_why_and_what_to_do():
    cluster = stuck()
    cluster.tick(60)
    made = plan(cluster.observe())
    assert [(event.type, event.reason) for event in made.events] == [("Warning", "RolloutFailed")]
    cluster.round()
    made = cluster.settle()
    assert made.status["phase"] == "Failed"
    status, reason, message = condition(made, "Progressing")
    assert (status, reason) == ("False", "DeadlineExceeded")
    assert message.startswith("Version 2.0.0 was not ready within 60 s. 0 of 1 pods of fleet")
    assert "version 1.0.0 serves. Edit the spec to try again, or: kubectl annotate" in message
    assert message.endswith(f"realtime-serve.io/retry={made.status['target']['revision']}")
    assert condition(made, "Degraded")[:2] == ("True", "DeadlineExceeded")
    short = "Version 2.0.0 could not be rolled out, see Progressing; version 1.0.0 has the traffic."
    assert condition(made, "Ready") == ("False", "DeadlineExceeded", short)
    assert condition(made, "Verified")[2] == "Version 2.0.0 did not come to its end, see Progressing."
    assert condition(made, "Available")[0] == "True"
    assert made.status["target"]["step"] == "Failed"
    assert made.status["history"][0]["outcome"] == "Failed"


def test_the_round_that_shows_a_failure_tells_it_no_second_time():
    cluster = stuck()
    before = plan(cluster.observe()).status
    trouble = {"waiting": Trouble(reason="ImagePullBackOff", message="manifest unknown")}
    after = with_trouble(cluster, **trouble).status
    assert [event.reason for event in news(before, after)] == ["ImagePullFailed"]
    failed = {**after, "phase": "Failed"}
    assert news(before, failed) == ()
    gone = {"type": "Available", "status": "False", "reason": "NoReadyEndpoints", "message": "Nobody serves."}
    others = [each for each in failed["conditions"] if each["type"] != "Available"]
    told = news(before, {**failed, "conditions": [*others, gone]})
    assert [event.reason for event in told] == ["NoReadyEndpoints"]


def test_the_target_shows_each_gate_and_what_it_waits_for():
    made = plan(stuck().observe())
    target = made.status["target"]
    assert (target["version"], target["step"]) == (V2, "Preparing")
    assert [(gate["name"], gate["passed"]) for gate in target["gates"]] == [
        ("pods-ready", False),
        ("model-loaded", False),
        ("preview-routes", False),
        ("service-stands", True),
        ("verified", True),
        ("approved", True),
    ]


def test_draining_tells_streams_and_the_last_moment():
    cluster = serving()
    cluster.open_streams(3)
    cluster.edit(spec(V2))
    for _ in range(12):
        made = cluster.round()
    (entry,) = made.status["draining"]
    assert (entry["version"], entry["activeStreams"]) == (V1, 3)
    status, _, message = condition(made, "Draining")
    assert status == "True"
    assert f"it is stopped at {entry['deadline']} at the latest" in message
    assert condition(made, "Ready")[0] == "True"
    assert made.recheck_after == 1.0


def test_pods_that_refuse_new_settings_are_named():
    cluster = serving()
    observed = cluster.observe()
    (only,) = observed.fleets
    (one,) = only.pods
    refuses = replace(
        one, report=PodReport(draining=False, settings_generation=1, models={}, settings_error="batching: x")
    )
    model = replace(observed.model, generation=2)
    made = plan(replace(observed, model=model, fleets=(replace(only, pods=(refuses,)),)))
    assert condition(made, "Degraded") == (
        "True",
        "SettingsRejected",
        f"Pod {one.name} keeps the settings of generation 1, because it refuses newer ones: batching: x",
    )
    assert "0/1 pods run generation 2." in condition(made, "Ready")[2]
    assert made.recheck_after == 2.0


def test_a_mistake_is_told_with_its_path_and_what_serves_serves_on():
    cluster = serving()
    cluster.edit(spec(V1, batching={"maxBatchSize": 0}))
    made = plan(cluster.observe())
    assert condition(made, "Ready") == (
        "False",
        "InvalidSpec",
        "spec.batching.maxBatchSize: Expected `int` >= 1.",
    )
    assert condition(made, "Available")[0] == "True"
    assert made.status["phase"] == "Invalid"
    assert made.status["observedGeneration"] == 2
    assert [event.reason for event in made.events] == ["InvalidSpec"]


WEB = {"clients": [{"name": "web", "secretRef": "web-key"}]}


def test_a_key_that_is_missing_is_named_and_all_else_goes_on():
    cluster = serving()
    cluster.client_keys["web"] = ClientKeys(problem="Secret web-key of client web does not exist")
    cluster.edit(spec(V1, **WEB, limits={"maxQueue": 7}))
    made = cluster.round()
    assert [event.reason for event in made.events] == ["ClientKeyMissing"]
    made = cluster.round()
    assert condition(made, "Degraded") == (
        "True",
        "ClientKeyMissing",
        "Secret web-key of client web does not exist. All else of this model goes on.",
    )
    assert condition(made, "Ready")[0] == "True"
    assert made.recheck_after is not None
    assert '"maxQueue": 7' in settings_of(cluster)


def test_clients_are_refused_with_the_charts_value_where_secrets_may_not_be_read():
    cluster = serving()
    before = settings_of(cluster)
    cluster.secrets_refused = "set the chart's value rbac.clientSecrets to true"
    cluster.edit(spec(V1, **WEB, limits={"maxQueue": 7}))
    made = cluster.round()
    status, reason, message = condition(made, "Ready")
    assert (status, reason) == ("False", "SecretsForbidden")
    assert "rbac.clientSecrets" in message
    assert condition(made, "Available")[0] == "True"
    assert settings_of(cluster) == before


def test_a_rotated_key_reaches_the_pods_without_an_edit():
    cluster = serving()
    cluster.client_keys["web"] = ClientKeys(digests=("old",))
    cluster.edit(spec(V1, **WEB))
    for _ in range(3):
        last = cluster.round()
    assert last.actions == ()
    assert last.recheck_after <= 60
    cluster.client_keys["web"] = ClientKeys(digests=("new", "old"))
    assert [describe(action) for action in cluster.round().actions] == [
        f"apply ConfigMap {cluster.active}-settings",
        f"annotate {next(iter(cluster._pods())).name} +settings",
    ]


def settings_of(cluster):
    return cluster.children["ConfigMap", f"{cluster.active}-settings"].content["data"]["settings.json"]


def test_a_stranger_in_the_way_is_named():
    cluster = ModelCluster()
    cluster.foreign("Service", "chat-preview")
    made = plan(cluster.observe())
    assert made.status["phase"] == "Conflict"
    assert condition(made, "Ready")[1:] == (
        "Conflict",
        (
            "Service chat-preview exists and does not belong to this model, so nothing is changed. "
            "Rename this model, or delete what is in its way."
        ),
    )


def test_a_transition_time_changes_only_with_the_status():
    cluster = serving()
    before = {each["type"]: each["lastTransitionTime"] for each in cluster.status["conditions"]}
    cluster.edit(spec(V1, limits={"maxQueue": 7}))
    cluster.settle()
    after = {each["type"]: each["lastTransitionTime"] for each in cluster.status["conditions"]}
    assert before == after
    cluster.edit(spec(V2))
    cluster.round()
    changed = [
        each["type"]
        for each in cluster.status["conditions"]
        if each["lastTransitionTime"] != after[each["type"]]
    ]
    assert changed == ["Ready", "Progressing", "Verified"]


def test_zero_replicas_are_a_wish_and_no_fault():
    cluster = serving()
    cluster.edit(spec(V1, replicas=0))
    made = cluster.settle()
    assert condition(made, "Available")[1] == "ScaledToZero"
    assert condition(made, "Degraded")[0] == "False"
    assert made.status["phase"] == "Ready"


def test_the_load_balancers_address_is_the_url_once_it_has_one():
    cluster = serving()
    cluster.children["Service", "chat"].content["status"] = {
        "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}
    }
    assert plan(cluster.observe()).status["url"] == "http://192.0.2.1"
