"""The chart on a real cluster: the operator runs with the rights that it gives, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from hack import chart
from hack.cluster import Cluster
from hack.kube import Kube, Manifest
from hack.ports import free_port
from inference_operator import handlers
from tests.support import crd

pytestmark = pytest.mark.cluster

RELEASE = "rights"
ACCOUNT = f"{RELEASE}-realtime-serve"


@dataclass(frozen=True)
class Release:
    """The chart in a namespace of its own, without operator pods: the tests run the operator themselves."""

    cluster: Cluster
    kube: Kube
    folder: Path
    everywhere: bool

    @property
    def namespace(self) -> str:
        return self.kube.namespace

    def kubeconfig(self) -> Path:
        """For the operator's own account."""
        config = yaml.safe_load(self.kube.run("config", "view", "--raw", "--flatten", "--minify"))
        token = self.kube.run("create", "token", ACCOUNT).strip()
        config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def may(self, *what: str, namespace: str = "") -> bool:
        user = f"--as=system:serviceaccount:{self.namespace}:{ACCOUNT}"
        place = ("--kubeconfig", str(self.cluster.kubeconfig), "--namespace", namespace or self.namespace)
        command = (str(self.kube.kubectl), *place, "auth", "can-i", *what, user)
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        assert said.stdout.strip() in {"yes", "no"}, said.stderr
        return said.stdout.strip() == "yes"

    @contextmanager
    def operator(self, *arguments: str) -> Iterator[str]:
        """The operator as a process with the account's rights; gives its address."""
        port = free_port()
        command = [sys.executable, "-m", "inference_operator", "run", f"--kubeconfig={self.kubeconfig()}"]
        command += [
            f"--http-port={port}",
            f"--lease={ACCOUNT}",
            f"--lease-namespace={self.namespace}",
            *arguments,
        ]
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)

    @property
    def log(self) -> Path:
        return self.folder / "operator.log"


@pytest.fixture(scope="module", params=["everywhere", "in one namespace"])
def release(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    namespace = f"chart-{uuid.uuid4().hex[:8]}"
    kube = cluster.kube.within(namespace)
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": restricted}}
    )
    values = ["crds.install=false", "replicas=0"]
    values += [f"watchNamespace={namespace}"] if request.param == "in one namespace" else []
    settings = [f"--set={value}" for value in values]
    cluster.helm("install", RELEASE, str(chart.CHART), "--namespace", namespace, *settings)
    yield Release(cluster, kube, tmp_path_factory.mktemp("release"), request.param == "everywhere")
    cluster.helm("uninstall", RELEASE, "--namespace", namespace)
    kube.run("delete", "namespace", namespace, "--wait=false")


def model_without_image() -> Manifest:
    """Its pods never start, so that a rollout goes as far as one can without an image."""
    sample: Manifest = crd.read_samples()["minimal.yaml"]
    sample["spec"]["gpu"] = {"count": 0}
    sample["spec"]["server"] = {"image": "localhost:5000/there-is/no-such-image:1"}
    return sample


def test_the_account_has_all_rights_that_a_rollout_asks_for(release: Release) -> None:
    """Bound to its namespace in both cases: other models of this cluster may have an operator of their own."""
    kube = release.kube
    with release.operator(f"--namespace={release.namespace}") as address:
        until(lambda: '"leads": true' in read(f"{address}/healthz"))
        kube.apply(model_without_image())
        kube.wait("inferencemodel", "chat", lambda model: reason(model) == "ImagePullFailed", 60)
        kube.patch("inferencemodel", "chat", {"spec": {"replicas": 2}})
        kube.wait("inferencemodel", "chat", lambda m: m["status"].get("observedGeneration") == 2, 60)
        until(lambda: 'model_phase{model="chat"' in read(f"{address}/metrics"))
        assert 'code="403"' not in read(f"{address}/metrics")
    log = release.log.read_text().lower()
    assert "forbidden" not in log
    assert "permission" not in log, "kopf says so when it may not watch"
    assert kube.find("events")
    assert kube.find("deployments", "realtime-serve.io/model=chat")


def read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # our own process
            return str(answer.read().decode())
    except urllib.error.URLError as error:
        return str(error)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_only_an_operator_of_the_whole_cluster_may_watch_all_of_it(release: Release) -> None:
    kinds = [".".join(filter(None, (plural, group))) for group, _, plural in handlers.CHILDREN]
    kinds += ["inferencemodels.realtime-serve.io", "customresourcedefinitions.apiextensions.k8s.io"]
    for kind in kinds:
        assert release.may("watch", kind, "--all-namespaces") is release.everywhere, kind


def reason(model: Manifest) -> str:
    conditions = model.get("status", {}).get("conditions", [])
    return next((c["reason"] for c in conditions if c["type"] == "Progressing"), "")


FORBIDDEN = (
    ("get", "secrets"),
    ("create", "pods"),
    ("delete", "pods"),
    ("create", "pods/exec"),
    ("delete", "services"),
    ("delete", "inferencemodels.realtime-serve.io"),
    ("patch", "inferencemodels.realtime-serve.io"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("patch", "nodes"),
    ("delete", "customresourcedefinitions.apiextensions.k8s.io"),
)


@pytest.mark.parametrize("what", FORBIDDEN, ids=" ".join)
def test_the_account_may_not(release: Release, what: tuple[str, str]) -> None:
    assert not release.may(*what)


def test_the_account_leads_only_by_its_own_lease(release: Release) -> None:
    assert release.may("update", f"leases.coordination.k8s.io/{ACCOUNT}")
    assert not release.may("update", "leases.coordination.k8s.io/another")
    assert not release.may("get", f"leases.coordination.k8s.io/{ACCOUNT}", namespace="kube-system")


def test_the_operators_pod_is_let_into_a_restricted_namespace(release: Release) -> None:
    """Asked of the API server itself, with the very pod of the Deployment."""
    deployment = release.kube.get("deployment", ACCOUNT)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    release.kube.run("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
    pod["spec"]["containers"][0].pop("securityContext")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        release.kube.run("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
    assert "violates PodSecurity" in refused.value.stderr
