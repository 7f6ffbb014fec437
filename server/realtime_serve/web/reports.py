"""What the server says of itself: probes, status, models, metrics."""

from __future__ import annotations

import time
from http import HTTPStatus

import msgspec
from aiohttp import web

from realtime_serve.generation.model import Model
from realtime_serve.generation.served import ServedVersion
from realtime_serve.generation.serving import Serving
from realtime_serve.release import VERSION
from realtime_serve.web.connections import Connections
from realtime_serve.web.errors import json_response
from realtime_serve.web.performance import errors_json, latency_json, percentiles_json


class Reports:
    """Handlers; all answer from the moment that the process listens."""

    def __init__(self, serving: Serving, connections: Connections) -> None:
        self._serving = serving
        self._connections = connections

    async def health(self, request: web.Request) -> web.Response:
        """GET /health: whether the process is worth keeping."""
        del request
        models = self._serving.models
        body = {
            "status": "ok" if models.healthy else "failed",
            "active_connections": self._connections.open,
            "active_streams": self._serving.active,
            **({} if models.healthy else {"reason": models.trouble}),
        }
        return _answer(body, good=models.healthy)

    async def ready(self, request: web.Request) -> web.Response:
        """GET /ready: whether requests shall be sent here. A drain by order does not change it; an order to retire and the end do."""
        del request
        reason = self._why_not_ready()
        return _answer(
            {"status": "not ready", "reason": reason} if reason else {"status": "ready"}, good=not reason
        )

    async def status(self, request: web.Request) -> web.Response:
        """GET /status: everything that the operator and people want to know."""
        del request
        serving, models = self._serving, self._serving.models.models
        first = serving.models.first
        versions = {} if first is None else serving.metrics.tally.models.get(first.name, {})
        return _answer(
            {
                "server_version": VERSION,
                "uptime_seconds": round(time.time() - serving.begun, 3),
                "draining": serving.drain.active,
                "settings_generation": serving.settings.current.generation,
                "settings_error": serving.settings.error,
                "connections": self._connections.open,
                "streams": {"active": serving.active},
                "models": {name: _describe(model) for name, model in models.items()},
                "queues": {name: _queue(model) for name, model in models.items()},
                "errors": errors_json(versions),
                "latency": latency_json(versions, time.monotonic()),
            }
        )

    async def models(self, request: web.Request) -> web.Response:
        """GET /models: the models and their versions."""
        del request
        models = self._serving.models.models
        described = {name: _describe(model) for name, model in models.items()}
        return _answer({"models": described, "total_models": len(described)})

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics: for Prometheus; percentiles of the last minute for those who ask for JSON."""
        if _wants_json(request):
            return _answer(percentiles_json(self._serving.metrics.tally, time.monotonic()))
        return web.Response(
            body=self._serving.metrics.render(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    def _why_not_ready(self) -> str:
        if self._serving.drain.terminating:
            return "the server is shutting down"
        if self._serving.drain.retiring:
            return "the server retires: it serves on, and is to get no more traffic"
        return self._serving.models.trouble


def _describe(model: Model) -> dict[str, object]:
    versions = {label: _describe_version(version) for label, version in model.versions.items()}
    return {"active_version": model.active_version, "versions": versions}


def _describe_version(version: ServedVersion) -> dict[str, object]:
    transfer = version.stats.transfer
    progress = {} if transfer is None else {"progress": msgspec.structs.asdict(transfer)}
    said = {"state": version.state, "message": version.message, "active_streams": version.work.active}
    return said | progress


def _queue(model: Model) -> dict[str, int]:
    stats = [version.stats for version in model.versions.values()]
    return {"waiting": sum(s.waiting for s in stats), "running": sum(s.running for s in stats)}


def _wants_json(request: web.Request) -> bool:
    accepted = [
        part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")
    ]
    return "application/json" in accepted and "text/plain" not in accepted


def _answer(body: object, *, good: bool = True) -> web.Response:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return json_response(msgspec.json.encode(body), status=status, headers={"Cache-Control": "no-store"})
