"""The load of chat streams as a pod: a ConfigMap that holds the program, and a pod of the server's image that runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("streams")
MOUNT = "/opt/load"
STOP = ("sh", "-c", "kill 1")
"""To be run in the pod by `kubectl exec`: it opens no more, ends with its summary, and its log stays readable."""

Manifest = dict[str, Any]


def program_manifest(name: str) -> Manifest:
    """The ConfigMap that pods of that name mount."""
    files = {path.name: path.read_text() for path in sorted(PROGRAM.glob("*.py"))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": files}


def pod_manifest(name: str, image: str, arguments: Sequence[str], *, grace_seconds: int = 600) -> Manifest:
    """A pod under Pod Security *restricted*. Deleting it stops the opening and waits for what runs."""
    container = {
        "name": "streams",
        "image": image,
        "command": ["python", "-m", "hack.streams", *arguments],
        "env": [{"name": "PYTHONPATH", "value": MOUNT}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "program", "mountPath": f"{MOUNT}/hack/streams", "readOnly": True}],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": name}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def read_log(log: str) -> Iterator[dict[str, Any]]:
    """The events in a pod's log, in order; the last of a finished run is the summary."""
    for line in log.splitlines():
        if line.startswith('{"event":'):
            yield json.loads(line)
