"""`python -m bench.operator_scale --models 1000`: the operator with so many models, on a real API server with fake pods.

Prints its memory, what it asks of the API server while nothing happens, and how long an edit waits for its first write.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from hack.apiserver import ControlPlane, FakePods
from hack.apiserver.plane import ADMIN, OPERATOR
from hack.ports import free_port
from tests.support.crd import install_crd

NAMESPACE = "crowd"
GROUP = "/apis/realtime-serve.io/v1alpha1"
MODELS = f"{GROUP}/namespaces/{NAMESPACE}/inferencemodels"
MERGE = {"Content-Type": "application/merge-patch+json"}
EDIT_SECONDS = 0.25
"""Between two edits."""
IDLE_SECONDS = 10.0


def model(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "realtime-serve.io/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": f"m{number}"},
        "spec": {"model": {"uri": "file:///model", "version": "1.0.0"}, "gpu": {"count": 0}},
    }


class Crowd:
    """The models, as their owners see them."""

    def __init__(self, plane: ControlPlane, session: aiohttp.ClientSession, count: int) -> None:
        self.plane, self.session, self.count = plane, session, count

    async def create(self) -> None:
        await self._send("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for number in range(self.count):
            await self._send("POST", MODELS, model(number))

    async def ready(self) -> int:
        """How many serve, with nothing left to do."""
        async with self.session.get(self.plane.url + MODELS) as answer:
            items = (await answer.json())["items"]
        return sum(item.get("status", {}).get("phase") == "Ready" for item in items)

    async def edit(self, number: int, queue: int) -> None:
        change = {"spec": {"limits": {"maxQueue": queue}}}
        await self._send("PATCH", f"{MODELS}/m{number}", change, MERGE)

    async def _send(
        self, method: str, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        async with self.session.request(
            method, self.plane.url + path, json=body, headers=headers or {}
        ) as answer:
            answer.raise_for_status()


def calls(plane: ControlPlane) -> Iterator[tuple[float, dict[str, Any]]]:
    """The operator's requests and when they came."""
    with plane.audit_log.open() as log:
        for line in log:
            event = json.loads(line)
            yield datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(), event


def is_watch(event: dict[str, Any]) -> bool:
    return bool(event["verb"] == "watch")


def writes_of(event: dict[str, Any], name: str) -> bool:
    place = event.get("objectRef", {})
    return event["verb"] in {"patch", "create"} and place.get("name", "").startswith(f"{name}-")


async def measure(count: int, rest: float, edits: int) -> None:
    with tempfile.TemporaryDirectory() as folder, ControlPlane(Path(folder)) as plane:
        install_crd(plane.kube)
        rights = ("--clusterrole=cluster-admin", "--user=operator")
        plane.kube.run("create", "clusterrolebinding", "operator", *rights)
        connector = aiohttp.TCPConnector(ssl=False, limit=8)
        admin = {"Authorization": f"Bearer {ADMIN}"}
        async with (
            FakePods(plane.url, ADMIN),
            aiohttp.ClientSession(connector=connector, headers=admin) as session,
        ):
            crowd = Crowd(plane, session, count)
            await crowd.create()
            kubeconfig = plane.write_kubeconfig(Path(folder) / "operator.kubeconfig", OPERATOR)
            with (Path(folder) / "operator.log").open("wb") as log:
                command = (sys.executable, "-m", "inference_operator", "run", f"--kubeconfig={kubeconfig}")
                port = free_port()
                options = (f"--http-port={port}", "--default-image=server:1")
                operator = await asyncio.create_subprocess_exec(*command, *options, stdout=log, stderr=log)
            try:
                await report(crowd, psutil.Process(operator.pid), port, rest, edits)
            finally:
                operator.terminate()
                await operator.wait()


async def report(crowd: Crowd, operator: psutil.Process, port: int, rest: float, edits: int) -> None:
    began = time.monotonic()
    while (ready := await crowd.ready()) < crowd.count:
        print(f"{ready} of {crowd.count} models serve after {time.monotonic() - began:.0f} s", flush=True)
        await asyncio.sleep(10)
    print(f"all {crowd.count} models serve after {time.monotonic() - began:.0f} s")
    await idle(crowd.session, port)
    print(f"nothing is left to do after {time.monotonic() - began:.0f} s")
    show_memory("at rest", operator)
    await show_rest(crowd, rest)
    await show_edits(crowd, edits)
    show_memory("in the end", operator)


async def idle(session: aiohttp.ClientSession, port: int) -> None:
    """Return when the operator has looked at no model for IDLE_SECONDS."""
    before = -1.0
    while (now := await rounds(session, port)) != before:
        before = now
        await asyncio.sleep(IDLE_SECONDS)


async def rounds(session: aiohttp.ClientSession, port: int) -> float:
    """How often it has looked at a model."""
    async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    counts = (
        one for family in families if family.name == "inference_operator_reconciles" for one in family.samples
    )
    return sum(one.value for one in counts if one.name.endswith("_total"))


def show_memory(when: str, operator: psutil.Process) -> None:
    memory = operator.memory_full_info()
    print(f"memory {when}: {memory.uss / 1e6:.0f} MB of its own, {memory.rss / 1e6:.0f} MB resident")


async def show_rest(crowd: Crowd, seconds: float) -> None:
    began = time.time()
    await asyncio.sleep(seconds)
    found = [event for at, event in calls(crowd.plane) if at >= began and not is_watch(event)]
    each = len(found) / crowd.count / seconds * 300
    kinds = Counter(f"{e['verb']} {e.get('objectRef', {}).get('resource', '')}" for e in found)
    print(f"calls at rest: {len(found)} in {seconds:.0f} s, {each:.3f} a model in 5 minutes; {dict(kinds)}")


async def show_edits(crowd: Crowd, edits: int) -> None:
    made: list[tuple[str, float]] = []
    for number in random.sample(range(crowd.count), min(edits, crowd.count)):
        made.append((f"m{number}", time.time()))
        await crowd.edit(number, 7)
        await asyncio.sleep(EDIT_SECONDS)
    await asyncio.sleep(15)
    seen = list(calls(crowd.plane))
    waits = [
        next((at - when for at, event in seen if at >= when and writes_of(event, name)), float("inf"))
        for name, when in made
    ]
    waits.sort()
    p99 = waits[int(0.99 * (len(waits) - 1))]
    print(
        f"edit to first write, {len(waits)} edits: median {statistics.median(waits):.3f} s, p99 {p99:.3f} s, worst {waits[-1]:.3f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--rest-seconds", type=float, default=330, help="one resync is every 300 s")
    parser.add_argument("--edits", type=int, default=200)
    given = parser.parse_args()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # ends the API server and the operator as Ctrl-C does
    asyncio.run(measure(given.models, given.rest_seconds, given.edits))


if __name__ == "__main__":
    main()
