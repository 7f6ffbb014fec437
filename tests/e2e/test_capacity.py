"""What a cluster has room for decides how a version is swapped; pods come and go by load. Each under live streams."""

import pytest

from hack.cluster.objects import set_gpus
from hack.demo.parts import build_images
from tests.support.models import condition, merged, publish, settled_on, tiny_model
from tests.support.operator_process import OperatorProcess
from tests.support.traffic import LiveStreams, address, harmed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SECONDS = 240
ONE_GPU = {"server": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}
"""Of the scheduler alone: the model runs on the CPU, for the GPU is made up."""


@pytest.fixture(scope="module")
def image(cluster):
    publish()
    return build_images().server


@pytest.fixture
def one_gpu(cluster):
    """One accelerator in the whole cluster."""
    set_gpus(1)
    yield
    set_gpus(0)


@pytest.fixture
def operator(cluster, namespace, tmp_path):
    mine = ("--namespace", namespace, "--lease", "operator", "--lease-namespace", namespace)
    with OperatorProcess(cluster.kubeconfig, tmp_path / "operator.log", *mine, "--nodes", "fixed") as process:
        yield process


@pytest.fixture
def serve(kube, image, operator):
    """Version 1.0.0 of a model serves."""

    def begin(**changes):
        kube.apply(tiny_model(image, **changes))
        kube.wait("im", "chat", settled_on("1.0.0"), SECONDS)

    return begin


def edit(kube, **changes):
    kube.patch("im", "chat", {"spec": changes})


def pods(kube):
    found = kube.find("pods", "realtime-serve.io/model=chat")
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in found
        if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("containerStatuses")
    }


def test_with_one_gpu_auto_swaps_inside_the_pod_and_cuts_no_stream(kube, one_gpu, serve, tmp_path):
    serve(**ONE_GPU)
    before = pods(kube)
    with LiveStreams(address(kube), tmp_path / "streams.json") as streams:
        edit(kube, model={"version": "2.0.0"})
        begun = kube.wait("im", "chat", lambda im: im["status"].get("target", {}).get("strategy"), SECONDS)
        target = begun["status"]["target"]
        assert target["strategy"] == "InPlace"
        assert "0 of 1 nvidia.com/gpu free" in target["message"]
        streams.await_started(16, "2.0.0")
        kube.wait("im", "chat", settled_on("2.0.0"), SECONDS)
        summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) == {"1.0.0", "2.0.0"}
    assert pods(kube) == before


def test_a_second_fleet_that_was_asked_for_waits_for_room_says_what_lacks_and_leaves_the_first_alone(
    kube, one_gpu, serve, tmp_path
):
    serve(**merged(ONE_GPU, {"rollout": {"strategy": "BlueGreen"}}))
    before = pods(kube)
    with LiveStreams(address(kube), tmp_path / "streams.json") as streams:
        edit(kube, model={"version": "2.0.0"})
        model = kube.wait(
            "im",
            "chat",
            lambda im: condition(im, "Progressing")["reason"] == "InsufficientCapacity",
            SECONDS,
        )
        told = condition(model, "Progressing")["message"]
        assert told.startswith("Version 2.0.0 is not begun. There is no room for a second fleet: 1 pod needs")
        assert "has 0 of 1 nvidia.com/gpu free" in told
        assert pods(kube) == before
        assert len(kube.find("deployments", "realtime-serve.io/model=chat")) == 1
        set_gpus(2)
        kube.wait("im", "chat", settled_on("2.0.0"), SECONDS)
        summary = streams.stop()
    assert harmed(summary) == []


def test_fewer_pods_cut_no_stream_and_more_come_by_kubectl(kube, serve, tmp_path):
    serve(replicas=2)
    before = pods(kube)
    with LiveStreams(address(kube), tmp_path / "streams.json", tokens=300) as streams:
        kube.run("scale", "im", "chat", "--replicas=1")
        kube.wait("im", "chat", lambda im: im["status"].get("replicas") == 1, SECONDS)
        kube.run("scale", "im", "chat", "--replicas=2")
        ready = kube.wait("im", "chat", lambda im: im["status"]["active"].get("readyReplicas") == 2, SECONDS)
        summary = streams.stop()
    assert harmed(summary) == []
    assert len(before.keys() & pods(kube).keys()) == 1
    assert ready["status"]["selector"]


def test_load_brings_pods(kube, serve, tmp_path):
    scaling = {"maxReplicas": 2, "targetActiveStreams": 8, "scaleDownStabilizationSeconds": 5}
    serve(autoscaling=scaling)
    with LiveStreams(address(kube), tmp_path / "streams.json", tokens=300) as streams:
        kube.wait("im", "chat", lambda im: im["status"]["active"].get("readyReplicas") == 2, SECONDS)
        summary = streams.stop()
    assert harmed(summary) == []
    kube.wait("im", "chat", lambda im: im["status"].get("replicas") == 1, SECONDS)
