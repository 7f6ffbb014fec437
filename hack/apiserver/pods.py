"""Pods that exist in the API alone: each gets an address of this machine, becomes ready, and answers GET /status.

Their streams are numbers that a test opens and closes; a pod that goes away with streams has cut them, and says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web

Object = dict[str, Any]

LABEL_MODEL = "realtime-serve.io/model"
LABEL_FLEET = "realtime-serve.io/fleet"
DRAIN = "realtime-serve.io/drain"
VERSION = "realtime-serve.io/version"
PORT = 8000
NODE = "fiction"
GENERATION = 1_000_000
"""Of the settings that they say they run: above any there is."""
PREFIXES = [f"10.{number}" for number in range(160, 255)]
"""Of pods' addresses: each run takes a /16 that no other one has."""
_MERGE = "application/merge-patch+json"
_log = logging.getLogger(__name__)


@dataclass
class FakePod:
    namespace: str
    name: str
    address: str
    version: str
    fleet: str
    streams: int = 0
    draining: bool = False
    drained_at: float = 0.0
    site: web.TCPSite | None = None

    def status(self) -> Object:
        state = {"state": "ready", "active_streams": self.streams}
        return {
            "draining": self.draining,
            "settings_generation": GENERATION,
            "models": {"model": {"active_version": self.version, "versions": {self.version: state}}},
            "streams": {"active": self.streams},
        }


@dataclass
class FakePods:
    """`async with FakePods(url, token):`. Needs root, for the addresses."""

    url: str
    token: str
    broken: set[str] = field(default_factory=set)
    """Versions whose pods never become ready."""
    cut: list[str] = field(default_factory=list)
    """One line for each pod that went away with streams."""

    async def __aenter__(self) -> Self:
        self._pods: dict[str, FakePod] = {}
        self._by_address: dict[str, FakePod] = {}
        self._count = 0
        self._prefix = await claim_addresses()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=16),
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        )
        await self._send("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        app = web.Application()
        app.add_routes([web.get("/status", self._status)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._watching = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._runner.cleanup()
        await self._session.close()
        await route("del", self._prefix)

    def all(self) -> list[FakePod]:
        return list(self._pods.values())

    def of_fleet(self, namespace: str, fleet: str) -> list[FakePod]:
        return [pod for pod in self._pods.values() if (pod.namespace, pod.fleet) == (namespace, fleet)]

    async def _status(self, request: web.Request) -> web.Response:
        transport = request.transport
        address = transport.get_extra_info("sockname")[0] if transport else ""
        pod = self._by_address.get(address)
        return web.json_response(pod.status()) if pod else web.Response(status=404)

    async def _run(self) -> None:
        while True:
            try:
                async for event in self._events():
                    await self._see(event["type"], event["object"])
            except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
                _log.debug("pods: %s", error)
            await asyncio.sleep(0.2)

    async def _events(self) -> AsyncIterator[Object]:
        """What is there, then what changes: each listing starts anew, so nothing is missed."""
        path = f"{self.url}/api/v1/pods"
        async with self._session.get(path, params={"labelSelector": LABEL_MODEL}) as answer:
            answer.raise_for_status()
            listed = await answer.json()
        present = {pod["metadata"]["uid"] for pod in listed["items"]}
        for uid in set(self._pods) - present:
            await self._gone(uid)
        for pod in listed["items"]:
            yield {"type": "ADDED", "object": pod}
        query = {
            "watch": "1",
            "labelSelector": LABEL_MODEL,
            "resourceVersion": listed["metadata"]["resourceVersion"],
            "timeoutSeconds": "120",
        }
        async with self._session.get(path, params=query) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                yield json.loads(line)

    async def _see(self, kind: str, pod: Object) -> None:
        uid = pod["metadata"].get("uid", "")
        if kind == "DELETED":
            await self._gone(uid)
        elif "deletionTimestamp" in pod["metadata"]:
            await self._gone(uid)
            await self._send("DELETE", _path(pod), {"gracePeriodSeconds": 0})
        elif kind in {"ADDED", "MODIFIED"}:
            known = self._pods.get(uid) or await self._born(pod)
            draining = DRAIN in (pod["metadata"].get("annotations") or {})
            if draining and not known.draining:
                known.drained_at = asyncio.get_running_loop().time()
            known.draining = draining

    async def _born(self, content: Object) -> FakePod:
        meta = content["metadata"]
        self._count += 1
        address = f"{self._prefix}.{self._count // 250}.{self._count % 250 + 1}"
        pod = FakePod(
            namespace=meta["namespace"],
            name=meta["name"],
            address=address,
            version=meta["annotations"][VERSION],
            fleet=meta["labels"][LABEL_FLEET],
        )
        self._pods[meta["uid"]] = self._by_address[address] = pod
        target = {"target": {"kind": "Node", "name": NODE}, "metadata": {"name": pod.name}}
        await self._send("POST", f"{_path(content)}/binding", target)
        if pod.version not in self.broken:
            pod.site = web.TCPSite(self._runner, address, PORT)
            try:
                await pod.site.start()
            except OSError as error:
                _log.error("pod %s stays unready: %s", pod.name, error)
                return pod
            await self._make_ready(pod)
        return pod

    async def _make_ready(self, pod: FakePod) -> None:
        now = "2026-01-01T00:00:00Z"
        status = {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": now}
                for kind in ("Ready", "ContainersReady", "PodScheduled")
            ],
        }
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        await self._send("PATCH", path, {"status": status})

    async def _send(self, method: str, path: str, body: Object) -> None:
        """Until it is done or refused, as it is in a namespace that ends: only what may pass is tried again."""
        headers = {"Content-Type": _MERGE} if method == "PATCH" else {}
        while True:
            try:
                async with self._session.request(
                    method, self.url + path, json=body, headers=headers
                ) as answer:
                    if answer.status < 500 and answer.status != 429:
                        return
                    _log.debug("%s %s: %s", method, path, await answer.text())
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                _log.debug("%s %s: %s", method, path, error)
            await asyncio.sleep(0.2)

    async def _gone(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        if pod is None:
            return
        self._by_address.pop(pod.address, None)
        if pod.site is not None:
            await pod.site.stop()
        if pod.streams:
            self.cut.append(f"{pod.name} went away with {pod.streams} streams")


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


async def claim_addresses() -> str:
    """Make every address of a /16 that nobody uses this machine's own; return its prefix. What a killed run had stays taken."""
    for prefix in PREFIXES:
        if await route("add", prefix):
            return prefix
    raise OSError(f"no route could be added from {PREFIXES[0]}.0.0/16 on: `ip route` needs root")


async def route(verb: str, prefix: str) -> bool:
    """Whether `ip route` did it; it refuses to add one that is there."""
    command = ("ip", "route", verb, "local", f"{prefix}.0.0/16", "dev", "lo")
    done = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await done.wait() == 0
