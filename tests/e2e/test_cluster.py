"""The local cluster itself: names resolve, parts can be killed and come back, GPUs can be faked."""

import pytest

from hack.cluster import Cluster, objects, places
from hack.demo.parts import build_images

pytestmark = pytest.mark.cluster


def pod(name, image, command, **resources):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": command,
                    "resources": resources,
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def image(cluster):
    return build_images().operator


def phase(found):
    return found["status"].get("phase")


def test_a_pod_resolves_the_names_of_services(kube, image):
    lookup = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    kube.apply(pod("lookup", image, ["python", "-c", lookup]))
    kube.wait("pod", "lookup", lambda found: phase(found) == "Succeeded")
    assert kube.run("logs", "lookup").strip() == places.SERVICE_IP


def test_starting_again_mends_a_killed_part_and_keeps_what_was_there(cluster, kube):
    kube.run("create", "configmap", "kept")
    cluster.kill("kube-scheduler")
    Cluster.up()
    assert kube.get("configmap", "kept")["metadata"]["name"] == "kept"


def test_a_pod_that_wants_a_gpu_waits_until_there_is_one(kube, image):
    kube.apply(pod("gpu", image, ["python", "-c", ""], limits={objects.GPU: "1"}))
    waiting = kube.wait("pod", "gpu", lambda found: found["status"].get("conditions"))
    assert objects.GPU in waiting["status"]["conditions"][0]["message"]
    objects.set_gpus(1)
    try:
        kube.wait("pod", "gpu", lambda found: phase(found) == "Succeeded")
    finally:
        objects.set_gpus(0)
