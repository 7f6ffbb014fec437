"""One real cluster for all tests of this folder, brought up if it is not, and a namespace for each test."""

import asyncio
from contextlib import contextmanager
from uuid import uuid4

import pytest

from hack.cluster import Cluster
from hack.demo.parts import RELEASE
from inference_operator.cluster.client import Client
from tests.support.crd import ROOT


@pytest.fixture(scope="session")
def cluster():
    up = Cluster.up()
    up.kube.run("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds/inferencemodels.yaml"))
    up.kube.run(
        "wait", "--for=condition=Established", "crd/inferencemodels.realtime-serve.io", "--timeout=60s"
    )
    with demo_asleep(up.kube.within(RELEASE)):
        yield up


@contextmanager
def demo_asleep(kube):
    """An operator that the demo left here serves all namespaces, those of the tests too: it sleeps meanwhile."""
    found = [one for one in kube.find("deployments") if one["metadata"]["name"] == RELEASE]
    replicas = found[0]["spec"]["replicas"] if found else 0
    if replicas:
        scale(kube, 0)
        kube.run("wait", "pod", "-l", f"app.kubernetes.io/name={RELEASE}", "--for=delete", "--timeout=60s")
    yield
    if replicas:
        scale(kube, replicas)


def scale(kube, replicas):
    kube.run("scale", "deployment", RELEASE, f"--replicas={replicas}")


@pytest.fixture
def namespace(cluster):
    """Where Pod Security is enforced as strictly as it can be."""
    name = f"e2e-{uuid4().hex[:8]}"
    cluster.kube.run("create", "namespace", name)
    cluster.kube.run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    cluster.kube.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kube(cluster, namespace):
    return cluster.kube.within(namespace)


@pytest.fixture
async def client(cluster):
    """The operator's own client."""
    connected = await Client.connect(str(cluster.kubeconfig))
    yield connected
    await connected.close()
    await asyncio.sleep(0)  # lets the transports close
