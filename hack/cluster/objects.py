"""What a fresh cluster needs in it: the kubelet's rights, a Ready node, fake GPUs, volumes that pods can share."""

from __future__ import annotations

import json
import time
from typing import Any

from hack.cluster import places
from hack.kube import Kube, Manifest

READY_SECONDS = 60.0
VOLUME_COUNT = 8
GPU = "nvidia.com/gpu"
GPUS_FILE = places.RUN / "gpus"


class NotReady(Exception):
    """The node did not become Ready in time."""


def kube() -> Kube:
    return Kube(kubectl=places.BIN / "kubectl", kubeconfig=places.KUBECONFIG)


def allow_kubelet_api() -> None:
    """Logs and exec go through the API server, which the kubelet asks the API server about."""
    subject = {
        "kind": "User",
        "apiGroup": "rbac.authorization.k8s.io",
        "name": "kube-apiserver-kubelet-client",
    }
    role = {
        "kind": "ClusterRole",
        "apiGroup": "rbac.authorization.k8s.io",
        "name": "system:kubelet-api-admin",
    }
    kube().apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "kubelet-api"},
            "subjects": [subject],
            "roleRef": role,
        }
    )


def node_is_ready() -> bool:
    conditions = [
        condition for node in kube().find("nodes") for condition in node["status"].get("conditions", [])
    ]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def ensure(gpus: int, node: str = places.NODE) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not node_is_ready():
        if time.monotonic() > deadline:
            raise NotReady(
                f"the node was not Ready within {READY_SECONDS:.0f} s; see {places.LOGS}/kubelet.log"
            )
        time.sleep(0.2)
    kube().apply(storage_class(default=node == places.NODE), *volumes())
    free_released_volumes()
    GPUS_FILE.write_text(str(gpus))
    set_gpus(gpus, node)


def storage_class(*, default: bool) -> Manifest:
    """A claim that names no class gets one of our volumes, unless the cluster brings a class of its own."""
    annotation = "storageclass.kubernetes.io/is-default-class"
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local", "annotations": {annotation: str(default).lower()}},
        "provisioner": "kubernetes.io/no-provisioner",
    }


def volumes() -> tuple[Manifest, ...]:
    """Folders of this machine for claims of storageClassName `local`; pods share them, and they outlive the cluster."""
    return tuple(volume(number) for number in range(VOLUME_COUNT))


def volume(number: int) -> dict[str, Any]:
    folder = places.VOLUMES / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)  # pods of any uid write here
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"local-{number}"},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "local",
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def free_released_volumes() -> None:
    """A volume whose claim was deleted may be claimed again; what it holds is a cache."""
    for found in kube().find("persistentvolumes"):
        if found.get("status", {}).get("phase") == "Released":
            kube().patch("persistentvolume", found["metadata"]["name"], {"spec": {"claimRef": None}})


def set_gpus(count: int, node: str = places.NODE) -> None:
    """An extended resource on the node's status: pods that want one are placed as if it were there."""
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    change = [{"op": "add", "path": path, "value": str(count)}]
    kube().run("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(change))


def restore_gpus() -> None:
    """A restarted kubelet writes its own view of the node."""
    if GPUS_FILE.exists():
        set_gpus(int(GPUS_FILE.read_text()))
