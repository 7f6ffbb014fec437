"""The API server's own audit log of the operator at work with the chart's rights: nothing forbidden, nothing in vain."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
import yaml

from hack import chart, gateway_api, rights
from hack.apiserver import ControlPlane, FakePods
from hack.apiserver.plane import ADMIN, OPERATOR, OPERATOR_USER
from tests.support.fault_bench import LEASE, VALUES, model, prepare
from tests.support.models import settled_on
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.plane, pytest.mark.timeout(300)]

NAMESPACE = "audited"
SECONDS = 120


@pytest.fixture
def plane(tmp_path):
    with ControlPlane(tmp_path / "plane") as running:
        prepare(running)
        gateway_api.install(running.kube)
        running.kube.run("create", "namespace", NAMESPACE)
        yield running


@pytest.fixture
def kube(plane):
    return plane.kube.within(NAMESPACE)


@pytest.fixture
def start(plane, tmp_path):
    """The operator of the whole cluster, as the chart starts it."""
    kubeconfig = plane.write_kubeconfig(tmp_path / "operator.kubeconfig", OPERATOR)
    own = [f"--lease={LEASE}", f"--lease-namespace={LEASE}", "--nodes=autoscaled", "--client-secrets=true"]

    def run(*options):
        return OperatorProcess(
            kubeconfig, tmp_path / "operator.log", *own, "--default-image=server:1", *options
        )

    return run


async def test_every_right_of_the_chart_is_used_and_no_request_is_forbidden(plane, kube, start):
    async with FakePods(plane.url, ADMIN):
        await asyncio.to_thread(work, start, kube)
    given = rights.given_by(chart.render(VALUES))
    found = rights.Comparison.of(rights.read_log(plane.audit_log, OPERATOR_USER), given)
    assert found.requests > 100
    assert found.fits, str(found)


def work(start, kube):
    with start() as operator:
        swap_there_and_back(kube)
        assert operator.terminate() == 0
    with start("--network-policies=false") as operator:
        kube.run("wait", "networkpolicy/chat-pods", "--for=delete", f"--timeout={SECONDS}s")
        assert operator.terminate() == 0


def swap_there_and_back(kube):
    """Twice the same way, so that news repeats; then the history is given up."""
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web-key"}}
    kube.apply(key | {"stringData": {"apiKey": "a-key-of-this-test-and-no-other"}})
    route = {"httpRoute": {"parentRefs": [{"name": "edge"}]}}
    kube.apply(model(clients=[{"name": "web", "secretRef": "web-key"}], service=route))
    kube.wait("im", "chat", settled_on("1.0.0"), SECONDS)
    for version in ("2.0.0", "1.0.0", "2.0.0"):
        kube.patch("im", "chat", {"spec": {"model": {"version": version}}})
        kube.wait("im", "chat", settled_on(version), SECONDS)
    kube.wait("httproute", "chat", lambda found: found["spec"], SECONDS)
    kube.patch("im", "chat", {"spec": {"rollout": {"historyLimit": 0}, "service": {"httpRoute": None}}})
    kube.run("wait", "httproute/chat", "--for=delete", f"--timeout={SECONDS}s")
    kube.wait("im", "chat", lambda found: not found["status"].get("history"), SECONDS)
    old = "realtime-serve.io/model=chat,realtime-serve.io/fleet notin ({})".format(
        kube.get("service", "chat")["spec"]["selector"]["realtime-serve.io/fleet"]
    )
    kube.run("wait", "configmap", "-l", old, "--for=delete", f"--timeout={SECONDS}s")


def test_children_that_hold_their_model_back_need_the_right_on_its_finalizers(plane, kube):
    """No request shows it: the API server looks whether the account might write them."""
    kube.apply(model())
    owner = {"apiVersion": "realtime-serve.io/v1alpha1", "kind": "InferenceModel", "name": "chat"}
    owner |= {"uid": kube.get("im", "chat")["metadata"]["uid"], "blockOwnerDeletion": True}
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": [owner]}}
    create = ("create", "-f", "-", f"--as={OPERATOR_USER}", "--dry-run=server")
    kube.run(*create, stdin=yaml.safe_dump(child))
    (role,) = (
        found
        for found in chart.find(chart.render(VALUES), "ClusterRole")
        if any("inferencemodels/finalizers" in rule["resources"] for rule in found["rules"])
    )
    role["rules"] = [rule for rule in role["rules"] if "inferencemodels/finalizers" not in rule["resources"]]
    kube.apply(role)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        kube.run(*create, stdin=yaml.safe_dump(child))
    assert "cannot set blockOwnerDeletion" in refused.value.stderr
