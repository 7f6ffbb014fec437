"""One real cluster for all tests of this folder, brought up if it is not, and a namespace for each test."""

import asyncio
from contextlib import contextmanager
from uuid import uuid4

import pytest

from hack.cluster import Cluster
from hack.demo.parts import RELEASE, build_images
from inference_operator.cluster.client import Client
from tests.support.crd import install_crd
from tests.support.models import ROLLOUT_SECONDS, publish, settled_on, tiny_model
from tests.support.operator_process import OperatorProcess
from tests.support.traffic import LiveStreams, address


@pytest.fixture(scope="session")
def cluster():
    up = Cluster.up()
    install_crd(up.kube)
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


@pytest.fixture(scope="module")
def image(cluster):
    publish()
    return build_images().server


@pytest.fixture
def start_operator(cluster, namespace, tmp_path):
    """Starts an operator that serves the test's namespace alone; as often as it is called."""
    running = []

    def start():
        mine = ("--namespace", namespace, "--lease", "operator", "--lease-namespace", namespace)
        log = tmp_path / f"operator-{len(running)}.log"
        running.append(OperatorProcess(cluster.kubeconfig, log, *mine))
        return running[-1]

    yield start
    for process in running:
        process.__exit__()


@pytest.fixture
def serving(kube, image, start_operator):
    """Version 1.0.0 serves."""
    operator = start_operator()
    kube.apply(tiny_model(image))
    kube.wait("im", "chat", settled_on("1.0.0"), ROLLOUT_SECONDS)
    return operator


@pytest.fixture
def streams(kube, serving, tmp_path):
    with LiveStreams(address(kube), tmp_path / "streams.json") as live:
        yield live
