"""One operator after another: an upgrade, and a leader that was stopped and wakes up too late."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from hack.apiserver import FakePods
from hack.apiserver.plane import ADMIN, OPERATOR, OPERATOR_USER
from hack.rights import read_log
from tests.support.fault_bench import LEASE, model
from tests.support.models import condition, settled_on
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.plane, pytest.mark.timeout(300)]

SECONDS = 120
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture
def kube(plane):
    namespace = f"heirs-{uuid4().hex[:6]}"
    plane.kube.run("create", "namespace", namespace)
    yield plane.kube.within(namespace)
    plane.kube.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def start(plane, kube, tmp_path):
    def run(token, *options):
        kubeconfig = plane.write_kubeconfig(tmp_path / f"{token}.kubeconfig", token)
        log = tmp_path / f"operator-{uuid4().hex[:4]}.log"
        own = (f"--namespace={kube.namespace}", f"--lease={LEASE}", f"--lease-namespace={LEASE}")
        return OperatorProcess(kubeconfig, log, *own, "--default-image=server:1", *options)

    return run


def pods(kube):
    return {pod["metadata"]["name"] for pod in kube.find("pods")}


async def test_an_operator_that_is_upgraded_restarts_no_pod_until_it_is_asked_to(plane, kube, start):
    async with FakePods(plane.url, ADMIN) as fakes:
        await asyncio.to_thread(upgrade, kube, start)
        assert fakes.cut == []


def upgrade(kube, start):
    with start(OPERATOR) as old:
        kube.apply(model(replicas=2))
        kube.wait("im", "chat", settled_on("1.0.0"), SECONDS)
        assert old.terminate() == 0
    before, generations = pods(kube), [d["metadata"]["generation"] for d in kube.find("deployments")]
    with start(OPERATOR, "--default-image=server:2"):
        found = kube.wait(
            "im", "chat", lambda m: condition(m, "UpdateAvailable")["status"] == "True", SECONDS
        )
        assert condition(found, "Ready")["status"] == "True"
        assert "image server:2 instead of server:1" in condition(found, "UpdateAvailable")["message"]
        assert pods(kube) == before
        assert [d["metadata"]["generation"] for d in kube.find("deployments")] == generations
        kube.patch("im", "chat", {"spec": {"server": {"restartedAt": "now"}}})
        kube.wait("im", "chat", settled_on("1.0.0"), SECONDS)
        kube.wait("im", "chat", lambda m: condition(m, "UpdateAvailable")["status"] == "False", SECONDS)
    kube.run("wait", "--for=delete", *(f"pod/{name}" for name in before), f"--timeout={SECONDS}s")
    images = [pod["spec"]["containers"][0]["image"] for pod in kube.find("pods")]
    assert images == ["server:2", "server:2"]


async def test_a_leader_that_was_stopped_writes_nothing_when_it_wakes_up(plane, kube, start):
    async with FakePods(plane.url, ADMIN):
        await asyncio.to_thread(succeed, plane, kube, start)


def succeed(plane, kube, start):
    """Each has an account of its own, so that the audit log tells who wrote."""
    with start(OPERATOR) as first:
        first.wait_until_leading()
        follow(plane, kube, first, start(ADMIN))


def follow(plane, kube, first, second):
    with second:
        kube.apply(model())
        kube.wait("im", "chat", settled_on("1.0.0"), SECONDS)
        first.process.send_signal(signal.SIGSTOP)
        second.wait_until_leading()
        kube.patch("im", "chat", {"spec": {"model": {"version": "2.0.0"}}})
        kube.wait("service", "chat-preview", lambda _: True)
        woken = datetime.now(UTC)
        first.process.send_signal(signal.SIGCONT)
        assert first.process.wait(SECONDS) == 1
        assert "lease" in first.log.read_text()
        kube.wait("im", "chat", settled_on("2.0.0"), SECONDS)
    assert list(writes_since(woken, plane)) == []


def writes_since(moment, plane):
    """Of the first account, and done: a renewal that was under way as the process was stopped is refused (409)."""
    for event in read_log(plane.audit_log, OPERATOR_USER):
        late = datetime.fromisoformat(event["requestReceivedTimestamp"]) >= moment
        if late and event["verb"] in WRITES and event["responseStatus"]["code"] < 400:
            yield f"{event['verb']} {event['requestURI']}"
