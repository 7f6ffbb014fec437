"""The chart and the operator agree: command line, rights, labels, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from jsonschema import Draft202012Validator
from prometheus_client import CollectorRegistry, generate_latest

from hack import chart
from inference_operator import handlers, manifests, names, options, spec
from inference_operator.actions import Delete
from inference_operator.cluster import kinds
from inference_operator.controller.metrics import Metrics
from inference_operator.observed import Model
from realtime_serve.errors import RequestError
from tests.support import crd, dashboard

Rights = dict[tuple[str, str], set[str]]


def rights(role: dict[str, Any]) -> Rights:
    found: Rights = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


@pytest.fixture(scope="module")
def operator_rights() -> Rights:
    """In the namespaces of models, for the Lease in its own, and on nodes."""
    allowed = {"rbac": {"clientSecrets": True, "aggregate": False}, "preflight": {"mode": "always"}}
    allowed |= {"gatewayApi": {"enabled": True}}
    rendered = chart.render({"watchNamespace": "team-a"} | allowed)
    found = [*chart.find(rendered, "ClusterRole"), *chart.find(rendered, "Role")]
    roles = [rights(role) for role in found]
    return {place: verbs for role in roles for place, verbs in role.items()}


def known_kinds() -> Iterator[kinds.Kind]:
    return (value for value in vars(kinds).values() if isinstance(value, kinds.Kind))


def place(kind: kinds.Kind) -> tuple[str, str]:
    return kind.api_version.rpartition("/")[0], kind.plural


def test_the_operator_has_rights_on_the_kinds_it_knows_and_no_others(operator_rights: Rights) -> None:
    subresources = {(names.GROUP, f"{names.PLURAL}/{part}") for part in ("status", "finalizers")}
    assert operator_rights.keys() - subresources == {place(kind) for kind in known_kinds()}


def test_the_operator_may_list_and_watch_what_wakes_it(operator_rights: Rights) -> None:
    woken_by = [(group, plural) for group, _, plural in handlers.CHILDREN]
    for what in [*woken_by, (names.GROUP, names.PLURAL)]:
        assert operator_rights[what] >= {"list", "watch"}, what


def test_the_operator_may_write_its_children_and_delete_only_what_a_plan_can_name(
    operator_rights: Rights,
) -> None:
    deletable = set(get_args(get_type_hints(Delete)["kind"]))
    for name, kind in kinds.BY_NAME.items():
        assert operator_rights[place(kind)] >= {"create", "patch"}, name
    may_delete = {kind.name for kind in known_kinds() if "delete" in operator_rights[place(kind)]}
    assert may_delete == deletable


def test_secrets_are_only_got_by_name_and_only_when_that_is_asked_for(operator_rights: Rights) -> None:
    assert operator_rights["", "secrets"] == {"get"}
    for role in chart.find(chart.render({}), "ClusterRole"):
        assert ("", "secrets") not in rights(role)


def test_routes_are_neither_listed_nor_watched_and_a_right_only_when_that_is_asked_for(
    operator_rights: Rights,
) -> None:
    place = "gateway.networking.k8s.io", "httproutes"
    assert operator_rights[place] == {"get", "create", "patch", "delete"}
    for role in chart.find(chart.render({}), "ClusterRole"):
        assert place not in rights(role)


def test_the_operator_never_writes_a_model_but_its_status(operator_rights: Rights) -> None:
    assert operator_rights[names.GROUP, names.PLURAL] == {"get", "list", "watch"}
    assert operator_rights[names.GROUP, f"{names.PLURAL}/status"] == {"patch"}


def test_the_operator_reads_the_command_line_that_the_chart_writes() -> None:
    values = {
        "watchNamespace": "team-a",
        "defaultServerImage": "r/server:1",
        "rbac": {"clientSecrets": True},
        "networkPolicies": {"enabled": False},
    }
    (deployment,) = chart.find(chart.render(values), "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert options.parse(arguments, {}) == options.Options(
        namespaces=("team-a",),
        default_image="r/server:1",
        client_secrets=True,
        network_policies=False,
        http_port=8080,
        lease="realtime-serve",
        lease_namespace="realtime-serve",
    )


@pytest.mark.parametrize(
    ("preflight", "nodes"),
    [
        ({"mode": "never"}, "unseen"),
        ({"mode": "auto"}, "fixed"),
        ({"mode": "auto", "autoscaledNodes": True}, "autoscaled"),
    ],
)
def test_the_operator_is_told_what_it_may_know_of_nodes_and_has_the_right(
    preflight: dict[str, Any], nodes: str
) -> None:
    rendered = chart.render({"preflight": preflight})
    (deployment,) = chart.find(rendered, "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert options.parse(arguments, {}).nodes == nodes
    may = [role for role in chart.find(rendered, "ClusterRole") if ("", "nodes") in rights(role)]
    assert bool(may) == (nodes != "unseen")


def fleet_pod() -> dict[str, Any]:
    sample = crd.read_samples()["minimal.yaml"]
    model = Model(
        namespace="ai",
        name="chat",
        uid="u",
        generation=1,
        resource_version="1",
        spec=sample["spec"],
        annotations={},
        status={},
        deleting=False,
    )
    deployment = manifests.deployment(
        model,
        spec.parse(sample["spec"]),
        fleet="chat-bcdf",
        revision="bcdf",
        replicas=1,
        default_image="r/server:1",
        prepare_started=datetime.now(UTC).isoformat(),
    )
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def test_prometheus_finds_the_pods_that_the_operator_makes() -> None:
    (monitor,) = (
        m
        for m in chart.find(chart.render(chart.MONITORED), "PodMonitor")
        if m["metadata"]["name"].endswith("models")
    )
    pod = fleet_pod()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in ports
    sources = {r["targetLabel"]: r["sourceLabels"][0] for r in endpoint["relabelings"]}
    assert sources == {
        "model": meta_label(names.LABEL_MODEL),
        "fleet": meta_label(names.LABEL_FLEET),
    }


def meta_label(label: str) -> str:
    return "__meta_kubernetes_pod_label_" + re.sub(r"[^a-zA-Z0-9_]", "_", label)


def test_every_operator_metric_that_is_asked_for_exists() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    declared = set(re.findall(r"^# TYPE (\w+)", generate_latest(registry).decode(), re.MULTILINE))
    asked = (
        " ".join(expr for _, expr in dashboard.panel_queries())
        + (chart.CHART / "files/alerts.yaml").read_text()
    )
    for name in set(re.findall(r"\binference_operator_\w+", asked)):
        assert re.sub(r"_(bucket|count|sum)$", "", name) in declared, name


def test_the_alert_on_cut_streams_names_error_codes_of_the_server() -> None:
    codes = {kind.code for kind in (RequestError, *RequestError.__subclasses__())}
    (reasons,) = set(re.findall(r'reason=~"([^"]+)"', (chart.CHART / "files/alerts.yaml").read_text()))
    assert set(reasons.split("|")) <= codes


def test_the_example_for_artifact_hub_is_a_valid_model() -> None:
    annotations = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())["annotations"]
    for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"]):
        Draft202012Validator(crd.object_schema()).validate(example)
