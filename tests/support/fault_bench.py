"""An operator process behind a proxy that breaks its calls, on an API server of its own, with fake pods and streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from hack import chart
from hack.apiserver import ControlPlane, FakePods, FakeTraffic
from hack.apiserver.plane import ADMIN, OPERATOR, OPERATOR_USER
from hack.kube import Kube
from tests.support.api_proxy import ApiProxy
from tests.support.crd import install_crd
from tests.support.models import settled_on
from tests.support.operator_process import OperatorProcess

VALUES = {"crds": {"install": False}, "rbac": {"clientSecrets": True}, "gatewayApi": {"enabled": True}}
LEASE = "realtime-serve"
"""The name of the Lease, and its namespace."""


def prepare(plane: ControlPlane) -> None:
    """The resource definition, and the chart's own rights for the operator's user."""
    install_crd(plane.kube)
    subjects = [{"kind": "User", "name": OPERATOR_USER, "apiGroup": "rbac.authorization.k8s.io"}]
    rendered = chart.render(VALUES)
    plane.kube.run("create", "namespace", LEASE)
    kube = plane.kube.within(LEASE)
    for kind in ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"):
        for found in chart.find(rendered, kind):
            kube.apply(found | ({"subjects": subjects} if kind.endswith("Binding") else {}))


def model(version: str = "1.0.0", **sections: Any) -> dict[str, Any]:
    return {
        "apiVersion": "realtime-serve.io/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": "chat"},
        "spec": {
            "model": {"uri": "hf://org/model", "version": version},
            "gpu": {"count": 0},
            "rollout": {"progressDeadlineSeconds": 300, "drainTimeoutSeconds": 300},
            **sections,
        },
    }


@dataclass
class FaultBench:
    plane: ControlPlane
    proxy: ApiProxy
    pods: FakePods
    traffic: FakeTraffic
    kube: Kube
    operator: OperatorProcess

    async def edit(self, change: dict[str, Any]) -> None:
        await asyncio.to_thread(self.kube.patch, "im", "chat", {"spec": change})

    async def wait(self, until: Callable[[dict[str, Any]], object], seconds: float = 120) -> dict[str, Any]:
        return await asyncio.to_thread(self.kube.wait, "im", "chat", until, seconds)

    async def swap(self, version: str, seconds: float = 120) -> None:
        """Edit the version and wait until it alone serves."""
        await self.edit({"model": {"version": version}})
        await self.wait(settled_on(version), seconds)

    def harm(self) -> list[str]:
        """Streams that were cut and requests that found nobody."""
        return [*self.pods.cut, *self.traffic.refused]


@asynccontextmanager
async def fault_bench(plane: ControlPlane, folder: Path, *options: str) -> AsyncIterator[FaultBench]:
    """Version 1.0.0 serves under traffic; whatever happens now is the test's doing."""
    namespace = f"faults-{uuid4().hex[:6]}"
    plane.kube.run("create", "namespace", namespace)
    kube = plane.kube.within(namespace)
    async with (
        ApiProxy(plane.url) as proxy,
        FakePods(plane.url, ADMIN) as pods,
        FakeTraffic(pods, namespace, "chat") as traffic,
    ):
        kubeconfig = plane.write_kubeconfig(folder / "operator.kubeconfig", OPERATOR, proxy.url)
        own = (f"--namespace={namespace}", "--default-image=server:1", *options)
        with OperatorProcess(kubeconfig, folder / "operator.log", *own) as operator:
            kube.apply(model())
            bench = FaultBench(plane, proxy, pods, traffic, kube, operator)
            await bench.wait(settled_on("1.0.0"))
            yield bench
    plane.kube.run("delete", "namespace", namespace, "--wait=false")


def audited(plane: ControlPlane) -> list[dict[str, Any]]:
    """Every request of the operator's user."""
    return [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
