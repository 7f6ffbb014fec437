"""Every path that the server answers."""

from __future__ import annotations

from aiohttp import web

from realtime_serve.generation.serving import Serving
from realtime_serve.web.connections import Connections
from realtime_serve.web.openai.handlers import OpenAI
from realtime_serve.web.reports import Reports


def routes(serving: Serving, connections: Connections) -> list[web.RouteDef]:
    """Return the table of routes."""
    openai = OpenAI(serving)
    reports = Reports(serving, connections)
    return [
        web.post("/v1/chat/completions", openai.chat),
        web.post("/v1/completions", openai.completion),
        web.get("/v1/models", openai.models),
        web.get("/v1/models/{name:.+}", openai.model),
        web.get("/health", reports.health),
        web.get("/ready", reports.ready),
        web.get("/status", reports.status),
        web.get("/models", reports.models),
        web.get("/metrics", reports.metrics),
    ]
