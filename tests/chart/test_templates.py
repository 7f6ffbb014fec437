"""What Helm makes of the chart: security, least rights, optional kinds, and values that are refused."""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack import chart, chart_readme

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden" / "defaults.yaml"
VALUES = chart.CHART / "values.yaml"
EVERYTHING: dict[str, Any] = {
    **chart.MONITORED,
    "podDisruptionBudget": {"enabled": True},
    "replicas": 2,
    "imagePullSecrets": [{"name": "pull"}],
    "extraEnv": [{"name": "OPERATOR_LOG_LEVEL", "value": "debug"}],
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podLabels": {"team": "ml"},
    "podAnnotations": {"note": "x"},
    "serviceAccount": {"annotations": {"role": "r"}},
    "image": {"digest": "sha256:" + "0" * 64},
}
RELEASES = {
    "defaults": {},
    "everything": EVERYTHING,
    "one namespace": {"watchNamespace": "team-a", **chart.MONITORED},
    "nothing optional": {
        "crds": {"install": False},
        "rbac": {"create": False, "aggregate": False},
        "serviceAccount": {"create": False},
        "monitoring": {"dashboards": {"enabled": False}},
        "defaultServerImage": "",
    },
}
CLUSTER_SCOPED = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
PROMETHEUS_KINDS = {"PodMonitor", "PrometheusRule"}


@pytest.fixture(params=RELEASES.values(), ids=RELEASES.keys())
def manifests(request: pytest.FixtureRequest) -> list[chart.Manifest]:
    return chart.render(request.param)


def pod_specs(manifests: list[chart.Manifest]) -> list[dict[str, Any]]:
    deployments = chart.find(manifests, "Deployment")
    return [d["spec"]["template"]["spec"] for d in deployments] + [
        p["spec"] for p in chart.find(manifests, "Pod")
    ]


def operator_pod(**values: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.find(chart.render(values), "Deployment")[0]["spec"]["template"]["spec"]
    return spec


def rules(manifests: list[chart.Manifest], kind: str) -> dict[str, list[Any]]:
    return {role["metadata"]["name"]: role["rules"] for role in chart.find(manifests, kind)}


def test_the_default_release_is_what_was_agreed() -> None:
    """RTS_OVERWRITE=1 writes the file anew; read its diff."""
    bare = {"crds": {"install": False}, "monitoring": {"dashboards": {"enabled": False}}}
    rendered = chart.render_text(bare)
    if os.environ.get("RTS_OVERWRITE"):
        GOLDEN.write_text(rendered)
    assert rendered == GOLDEN.read_text()


def test_the_chart_has_the_projects_version() -> None:
    project = tomllib.loads((chart.CHART.parent.parent / "pyproject.toml").read_text())["project"]
    about = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    assert {about["version"], about["appVersion"]} == {project["version"]}


def test_helm_lints_the_chart_without_a_word() -> None:
    assert "0 chart(s) failed" in chart.helm("lint", "--strict", str(chart.CHART))


def test_every_pod_keeps_to_pod_security_restricted(manifests: list[chart.Manifest]) -> None:
    specs = pod_specs(manifests)
    assert len(specs) == 2, "the operator's and the test's"
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all(set(volume) <= {"name", "emptyDir"} for volume in spec.get("volumes", []))
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_every_object_is_labelled_as_this_release(manifests: list[chart.Manifest]) -> None:
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "realtime-serve"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/part-of"] == "realtime-serve"
        assert labels["helm.sh/chart"].startswith("realtime-serve-")


def test_every_object_names_its_namespace_unless_it_has_none(manifests: list[chart.Manifest]) -> None:
    for manifest in manifests:
        has_namespace = "namespace" in manifest["metadata"]
        assert has_namespace is (manifest["kind"] not in CLUSTER_SCOPED), manifest["metadata"]


def test_no_two_objects_of_a_release_share_a_name(manifests: list[chart.Manifest]) -> None:
    names = [(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)


def test_the_service_and_the_disruption_budget_select_the_operators_pods() -> None:
    manifests = chart.render(EVERYTHING)
    template = chart.find(manifests, "Deployment")[0]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        chart.find(manifests, "Service")[0]["spec"]["selector"],
        chart.find(manifests, "PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"],
        chart.find(manifests, "PodMonitor")[0]["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= template.items()
    assert selectors[0]["app.kubernetes.io/name"] != "realtime-serve", "model pods have that name"


def test_the_test_pod_is_not_behind_the_operators_service() -> None:
    manifests = chart.render({})
    selector = chart.find(manifests, "Service")[0]["spec"]["selector"]
    assert not selector.items() <= chart.find(manifests, "Pod")[0]["metadata"]["labels"].items()


def test_no_role_of_the_operator_holds_a_wildcard_or_reaches_secrets(manifests: list[chart.Manifest]) -> None:
    for kind in ("Role", "ClusterRole"):
        for rule in itertools.chain.from_iterable(rules(manifests, kind).values()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"secrets", "roles", "clusterroles", "pods/exec"} & set(rule["resources"])
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_in_one_namespace_the_operator_gets_the_same_rules_there_and_none_elsewhere() -> None:
    everywhere = chart.render({"rbac": {"aggregate": False}, "preflight": {"mode": "never"}})
    in_one = chart.render({"rbac": {"aggregate": False}, "watchNamespace": "team-a"})
    (cluster_rules,) = rules(everywhere, "ClusterRole").values()
    assert not chart.find(in_one, "ClusterRole")
    assert not chart.find(in_one, "ClusterRoleBinding")
    (role,) = (r for r in chart.find(in_one, "Role") if r["metadata"]["namespace"] == "team-a")
    assert role["rules"] == cluster_rules[:-1]
    assert cluster_rules[-1]["resources"] == ["customresourcedefinitions"], "which no namespace holds"
    assert "--namespace=team-a" in operator_pod(watchNamespace="team-a")["containers"][0]["args"]


def test_to_see_nodes_from_one_namespace_takes_a_right_in_all_of_them() -> None:
    values = {"rbac": {"aggregate": False}, "watchNamespace": "team-a", "preflight": {"mode": "always"}}
    rendered = chart.render(values)
    (cluster_rules,) = rules(rendered, "ClusterRole").values()
    assert cluster_rules == [{"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list"]}]


def test_the_lease_may_only_be_the_operators_own() -> None:
    lease_rules = rules(chart.render({}), "Role")["realtime-serve-lease"]
    for rule in lease_rules:
        assert rule["resources"] == ["leases"]
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["realtime-serve"]


def test_every_binding_binds_a_role_of_this_release_to_the_operators_account(
    manifests: list[chart.Manifest],
) -> None:
    roles = {(m["kind"], m["metadata"]["name"]) for m in manifests if m["kind"].endswith("Role")}
    account = pod_specs(manifests)[0]["serviceAccountName"]
    for binding in (m for m in manifests if m["kind"].endswith("Binding")):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        assert [s["name"] for s in binding["subjects"]] == [account]
        assert [s["namespace"] for s in binding["subjects"]] == ["realtime-serve"]


def test_prometheus_kinds_appear_only_where_the_cluster_has_them() -> None:
    has = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in PROMETHEUS_KINDS]
    never = {"monitoring": {"podMonitors": {"mode": "never"}, "alerts": {"mode": "never"}}}

    def kinds(*arguments: str, **values: Any) -> set[str]:
        return {manifest["kind"] for manifest in chart.render(values, *arguments)} & PROMETHEUS_KINDS

    assert kinds() == set()
    assert kinds(*has) == PROMETHEUS_KINDS
    assert kinds(has[0]) == {has[0].rpartition("/")[2]}
    assert kinds(**chart.MONITORED) == PROMETHEUS_KINDS
    assert kinds(*has, **never) == set()


def test_the_definition_is_the_one_in_crds_and_stays_after_uninstall() -> None:
    (crd,) = chart.find(chart.render({}), "CustomResourceDefinition")
    source = yaml.safe_load((chart.CHART.parent.parent / "crds/inferencemodels.yaml").read_text())
    assert crd["spec"] == source["spec"]
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (crd,) = chart.find(chart.render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})
    assert not chart.find(chart.render({"crds": {"install": False}}), "CustomResourceDefinition")


def test_a_digest_wins_over_a_tag_and_a_tag_over_the_charts_version() -> None:
    def image(**values: str) -> str:
        return str(operator_pod(image={"repository": "r/operator", **values})["containers"][0]["image"])

    version = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())["appVersion"]
    digest = "sha256:" + "a" * 64
    assert image() == "r/operator:dev"
    assert image(tag="") == f"r/operator:{version}"
    assert image(tag="v2") == "r/operator:v2"
    assert image(tag="v2", digest=digest) == f"r/operator@{digest}"


def test_the_default_server_image_reaches_the_operator_or_is_left_out() -> None:
    assert (
        "--default-image=r/server:1" in operator_pod(defaultServerImage="r/server:1")["containers"][0]["args"]
    )
    assert "--default-image" not in str(operator_pod(defaultServerImage="")["containers"][0]["args"])


def test_the_test_pod_asks_the_model_that_the_values_name() -> None:
    def asks(**values: Any) -> str:
        return str(chart.find(chart.render(values), "Pod")[0]["spec"]["containers"][0]["args"][2])

    assert asks() == "http://chat.realtime-serve.svc"
    assert asks(watchNamespace="team-a") == "http://chat.team-a.svc"
    assert asks(test={"model": {"name": "m", "namespace": "n"}}) == "http://m.n.svc"


REFUSED = [
    ({"replica": 2}, "replica"),
    ({"replicas": "two"}, "/replicas"),
    ({"replicas": -1}, "/replicas"),
    ({"image": {"digest": "latest"}}, "/image/digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    ({"watchNamespace": "Team A"}, "/watchNamespace"),
    ({"crds": {"instal": False}}, "instal"),
    ({"monitoring": {"podMonitors": {"mode": "yes"}}}, "/monitoring/podMonitors/mode"),
    ({"monitoring": {"podMonitors": {"interval": "often"}}}, "/monitoring/podMonitors/interval"),
    ({"monitoring": {"dashboards": {"labels": {"grafana_dashboard": 1}}}}, "/labels/grafana_dashboard"),
    ({"test": {"model": {"name": ""}}}, "/test/model/name"),
]


@pytest.mark.parametrize(("values", "where"), REFUSED, ids=[where for _, where in REFUSED])
def test_a_wrong_value_is_refused_and_its_place_named(values: dict[str, Any], where: str) -> None:
    with pytest.raises(chart.ChartRefusedError) as refused:
        chart.render(values)
    assert where in str(refused.value)


def test_every_value_is_used_by_a_template() -> None:
    used = "\n".join(path.read_text() for path in (chart.CHART / "templates").rglob("*.*"))
    monitors = used.replace("$monitors.", ".Values.monitoring.podMonitors.")
    monitors = monitors.replace("$alerts.", ".Values.monitoring.alerts.")
    monitors = monitors.replace("$dashboards.", ".Values.monitoring.dashboards.")
    for value in chart_readme.read_values(VALUES.read_text()):
        assert re.search(rf"\.Values\.{re.escape(value.path)}\b", monitors), f"no template uses {value.path}"


def test_notes_name_the_next_commands() -> None:
    notes = chart.helm("install", "realtime-serve", str(chart.CHART), "--dry-run=client", "--namespace", "ai")
    for command in ("apply -f -", "helm test realtime-serve -n ai", "edit inferencemodel chat", "curl -N"):
        assert command in notes
