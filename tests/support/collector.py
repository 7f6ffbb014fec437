"""A collector of OpenTelemetry spans: OTLP over HTTP, as protobuf."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.front_end import PATIENCE


@dataclass(frozen=True)
class Seen:
    """A span as it came."""

    name: str
    kind: int
    trace: str
    parent: str  # 16 hex digits, empty for a root
    seconds: float
    status: int  # 0 unset, 2 error
    message: str
    attributes: dict[str, Any]
    events: dict[str, float]  # seconds after the beginning
    resource: dict[str, Any]


@dataclass
class Collector:
    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: bytes = b""
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        await self.answers.wait()
        body = await request.read()
        self.raw += body
        self.headers.append(dict(request.headers))
        async with self.news:
            self.spans += spans_of(ExportTraceServiceRequest.FromString(body))
            self.news.notify_all()
        return web.Response(content_type="application/x-protobuf")

    async def seen(self, count: int = 1) -> list[Seen]:
        """Returns when so many have come."""
        async with asyncio.timeout(PATIENCE), self.news:
            await self.news.wait_for(lambda: len(self.spans) >= count)
        return self.spans


@contextlib.asynccontextmanager
async def collector(host: str = "127.0.0.1") -> AsyncIterator[Collector]:
    running = Collector()
    running.answers.set()
    app = web.Application()
    app.router.add_post("/v1/traces", running.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    running.url = f"http://{host}:{site.port}"
    try:
        yield running
    finally:
        await runner.cleanup()


def spans_of(request: ExportTraceServiceRequest) -> list[Seen]:
    return [
        seen(span, values(group.resource.attributes))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def seen(span: Any, resource: dict[str, Any]) -> Seen:
    begin = span.start_time_unix_nano
    return Seen(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        parent=span.parent_span_id.hex(),
        seconds=(span.end_time_unix_nano - begin) / 1e9,
        status=span.status.code,
        message=span.status.message,
        attributes=values(span.attributes),
        events={event.name: (event.time_unix_nano - begin) / 1e9 for event in span.events},
        resource=resource,
    )


def values(pairs: Any) -> dict[str, Any]:
    return {pair.key: value(pair.value) for pair in pairs}


def value(given: Any) -> Any:
    kind = given.WhichOneof("value")
    if kind == "array_value":
        return [value(one) for one in given.array_value.values]
    return getattr(given, kind)
