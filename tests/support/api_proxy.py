"""A proxy between the operator and the API server that breaks what it is told to, before or after it was done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web

_HOP = {"host", "connection", "transfer-encoding", "content-length", "content-encoding", "accept-encoding"}

ERRORS = {
    "expire": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"},
    "fail": {
        "kind": "Status",
        "code": 500,
        "reason": "InternalError",
        "message": "etcd event was not decoded",
    },
}


@dataclass
class Call:
    """One request of the operator, and whether it is a watch."""

    verb: str
    path: str
    watch: bool

    @property
    def writes(self) -> bool:
        return self.verb != "GET"


@dataclass
class Fault:
    """What to do to the next `times` calls that `concerns` is true of."""

    concerns: Callable[[Call], bool]
    times: int
    status: int = 0
    """Answer with it; 0: go silent instead, until the caller gives up."""
    done: bool = False
    """Pass the call on first: it takes effect, and only its answer is lost."""
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    watch: str = ""
    """For a watch: `stall` (nothing more comes), `truncate` (ends amid a line), `expire` (410 in the stream), `fail` (500 in it)."""
    hit: int = 0

    def takes(self, call: Call) -> bool:
        if self.hit >= self.times or bool(self.watch) != call.watch or not self.concerns(call):
            return False
        self.hit += 1
        return True


class ApiProxy:
    """`async with ApiProxy(url) as proxy:`; `proxy.url` is where the operator goes."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.url = ""
        self._watches: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def inject(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    async def end_watches(self) -> None:
        """Cut every watch of now, so that those that follow meet the faults."""
        for task in list(self._watches):
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        call = Call(request.method, request.path, "watch" in request.query)
        self.calls.append(call)
        fault = next((fault for fault in self.faults if fault.takes(call)), None)
        if call.watch:
            return await self._follow(request, fault)
        if fault is None:
            return await self._forward(request, None)
        if fault.done:
            await self._forward(request, None, quietly=True)
        if not fault.status:
            await asyncio.sleep(3600)  # until the caller gives up, which cancels this
        body = {"kind": "Status", "apiVersion": "v1", "code": fault.status, "message": "injected"}
        return web.json_response(body | fault.body, status=fault.status, headers=fault.headers)

    async def _follow(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a handler runs in a task")
        self._watches.add(task)
        try:
            return await self._forward(request, fault)
        finally:
            self._watches.discard(task)

    async def _forward(
        self, request: web.Request, fault: Fault | None, *, quietly: bool = False
    ) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        try:
            async with self._session.request(
                request.method,
                self.target + request.path_qs,
                data=await request.read() or None,
                headers=headers,
            ) as answer:
                if quietly:
                    return web.Response(body=await answer.read())
                kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                await self._copy(answer, response, fault)
                return response
        except aiohttp.ClientConnectionError as error:
            # As a load balancer does whose API server is away.
            return web.json_response({"message": str(error)}, status=502)

    async def _copy(
        self, answer: aiohttp.ClientResponse, response: web.StreamResponse, fault: Fault | None
    ) -> None:
        if fault is None:
            async for part in answer.content.iter_any():
                await response.write(part)
        elif fault.watch == "stall":
            await asyncio.sleep(3600)
        elif fault.watch in ERRORS:
            await response.write(
                json.dumps({"type": "ERROR", "object": ERRORS[fault.watch]}).encode() + b"\n"
            )
        elif fault.watch == "truncate":
            await response.write(b'{"type": "MODIFIED", "obj')
            response.force_close()
