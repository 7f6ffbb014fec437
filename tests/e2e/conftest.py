"""One real cluster for all tests of this folder, brought up if it is not, and a namespace for each test."""

import asyncio
from uuid import uuid4

import pytest

from hack.cluster import Cluster
from inference_operator.cluster.client import Client
from tests.support.crd import ROOT


@pytest.fixture(scope="session")
def cluster():
    up = Cluster.up()
    up.kube.run("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds/inferencemodels.yaml"))
    up.kube.run(
        "wait", "--for=condition=Established", "crd/inferencemodels.realtime-serve.io", "--timeout=60s"
    )
    return up


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
