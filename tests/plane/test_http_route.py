"""A model's HTTPRoute with the Gateway API's own definition: before it is installed, with it, through a swap, and away."""

from __future__ import annotations

import asyncio
import json

import pytest

from hack import gateway_api
from tests.support.api_proxy import Fault
from tests.support.fault_bench import FaultBench, fault_bench
from tests.support.models import condition, current

pytestmark = [pytest.mark.plane, pytest.mark.timeout(300)]

EDGE = {"name": "edge", "namespace": "infra", "sectionName": "https"}
ASKED = {"parentRefs": [EDGE]}
HOSTS = ["chat.example.com", "*.chat.example.com"]


@pytest.fixture
async def bench(plane, tmp_path):
    async with fault_bench(plane, tmp_path) as made:
        yield made
        assert made.harm() == []


async def test_it_follows_the_field_and_the_gateway_and_a_swap_leaves_it_alone(bench: FaultBench):
    await bench.edit({"service": {"httpRoute": ASKED}})
    found = await bench.wait(told("False", "GatewayApiMissing"))
    assert "install the Gateway API" in condition(found, "RouteAccepted")["message"]
    assert condition(found, "Ready")["status"] == "True"

    await asyncio.to_thread(gateway_api.install, bench.kube)
    bench.proxy.inject(Fault(lambda call: call.writes and "httproutes" in call.path, times=1, status=422))
    await bench.edit({"service": {"httpRoute": {"hostnames": HOSTS}}})
    found = await bench.wait(told("False", "RefusedByCluster"))
    assert condition(found, "Ready")["status"] == "True"
    await bench.wait(told("Unknown", "WaitingForGateway"))
    route = await asyncio.to_thread(bench.kube.wait, "httproute", "chat", lambda found: found["spec"])
    assert route["spec"]["parentRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", **EDGE}]
    assert route["spec"]["hostnames"] == HOSTS
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s"}
    (backend,) = rule["backendRefs"]
    assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "chat", 80)

    await answer(bench, "False", "NotAllowedByListeners", generation=route["metadata"]["generation"])
    found = await bench.wait(told("False", "NotAllowedByListeners"))
    assert "Gateway infra/edge section https" in condition(found, "RouteAccepted")["message"]
    await answer(bench, "True", "Accepted", generation=route["metadata"]["generation"])
    await bench.edit({"limits": {"maxQueue": 7}})  # so that it is looked at now
    await bench.wait(told("True", "Accepted"))

    before = await asyncio.to_thread(bench.kube.get, "httproute", "chat")
    fault = bench.proxy.inject(Fault(lambda call: "httproutes" in call.path, times=5, status=500))
    await bench.swap("2.0.0")
    assert fault.hit == 5
    after = await asyncio.to_thread(bench.kube.get, "httproute", "chat")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]

    await bench.edit({"service": {"httpRoute": None}})
    await asyncio.to_thread(bench.kube.run, "wait", "httproute/chat", "--for=delete", "--timeout=60s")
    await bench.wait(told("absent", ""))


def told(status: str, reason: str):
    """What RouteAccepted says of the newest edit."""

    def holds(model) -> bool:
        found = condition(model, "RouteAccepted")
        return current(model) and (found["status"], found["reason"]) == (status, reason)

    return holds


async def answer(bench: FaultBench, status: str, reason: str, *, generation: int) -> None:
    """As the gateway's controller would."""
    said = {
        "type": "Accepted",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }
    parent = {"parentRef": EDGE, "controllerName": "example.com/gateway", "conditions": [said]}
    change = json.dumps({"status": {"parents": [parent]}})
    command = ("patch", "httproute", "chat", "--subresource=status", "--type=merge", "-p", change)
    await asyncio.to_thread(bench.kube.run, *command)
