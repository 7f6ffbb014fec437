"""The back end where a Docker engine answers: a kind cluster with the same registry, node port and kubeconfig.

Not run on the development machine, where containers may not be privileged: written from kind's own documents.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hack import binaries
from hack.cluster import objects, places

NAME = places.CONTEXT
REGISTRY = "realtime-serve-registry"
REGISTRY_IMAGE = "registry:2"
NODE_CONTAINER = f"{NAME}-control-plane"


def is_available() -> bool:
    """A Docker engine answers this user."""
    return shutil.which("docker") is not None and _succeeds("docker", "info")


def config() -> dict[str, Any]:
    """One node; its NodePort 30080 is this machine's localhost:8080; images of localhost:5000 come from our registry."""
    mapping = {
        "containerPort": places.NODE_PORT,
        "hostPort": places.HOST_PORT,
        "listenAddress": "127.0.0.1",
        "protocol": "TCP",
    }
    mount = {"hostPath": str(places.VOLUMES), "containerPath": str(places.VOLUMES)}
    patch = '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": NAME,
        "nodes": [{"role": "control-plane", "extraPortMappings": [mapping], "extraMounts": [mount]}],
        "containerdConfigPatches": [patch],
    }


def is_up() -> bool:
    return (
        _succeeds("docker", "inspect", NODE_CONTAINER)
        and places.KUBECONFIG.exists()
        and objects.node_is_ready()
    )


def up(gpus: int) -> None:
    programs = binaries.ensure("kind", "helm", "kubernetes")
    _start_registry()
    if not is_up():
        places.VOLUMES.mkdir(parents=True, exist_ok=True)
        path = places.RUN / "kind.json"
        path.write_text(json.dumps(config()))
        create = ("create", "cluster", "--config", str(path), "--kubeconfig", str(places.KUBECONFIG))
        _run(str(programs / "kind"), *create, "--wait", "120s")
        _point_node_at_registry()
    objects.ensure(gpus, node=NODE_CONTAINER)


def down() -> None:
    _run(str(binaries.ensure("kind") / "kind"), "delete", "cluster", "--name", NAME)
    subprocess.run(["docker", "rm", "--force", REGISTRY], check=False, capture_output=True)


def gateway() -> str:
    """This machine's address in kind's network."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    command = ["docker", "network", "inspect", "kind", "--format", template]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _start_registry() -> None:
    if _succeeds("docker", "inspect", REGISTRY):
        _run("docker", "start", REGISTRY)
        return
    publish = ("--publish", "127.0.0.1:5000:5000", "--restart", "always", "--name", REGISTRY)
    _run("docker", "run", "--detach", *publish, REGISTRY_IMAGE)


def _point_node_at_registry() -> None:
    folder = "/etc/containerd/certs.d/localhost:5000"
    hosts = f'[host."http://{REGISTRY}:5000"]\n'
    _run("docker", "exec", NODE_CONTAINER, "mkdir", "-p", folder)
    subprocess.run(
        ["docker", "exec", "-i", NODE_CONTAINER, "cp", "/dev/stdin", f"{folder}/hosts.toml"],
        input=hosts,
        text=True,
        check=True,
    )
    if not _succeeds(
        "docker", "network", "inspect", "kind", "--format", f"{{{{index .Containers {REGISTRY!r}}}}}"
    ):
        subprocess.run(["docker", "network", "connect", "kind", REGISTRY], check=False, capture_output=True)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _run(*command: str) -> None:
    program = Path(command[0]).name
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise KindFailed(f"{program} {' '.join(command[1:])}:\n{done.stderr[-2000:]}")


class KindFailed(Exception):
    """docker or kind ended with an error, which the message holds."""
