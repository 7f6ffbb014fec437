"""Every path that the server answers."""

from __future__ import annotations

from aiohttp import web

from realtime_serve.generation.serving import Serving
from realtime_serve.jobs.jobs import Jobs
from realtime_serve.web.connections import Connections
from realtime_serve.web.infer import Infer
from realtime_serve.web.jobs import JobRoutes
from realtime_serve.web.openai.handlers import OpenAI
from realtime_serve.web.openapi.handlers import openapi
from realtime_serve.web.page import Page
from realtime_serve.web.reports import Reports


def routes(serving: Serving, connections: Connections, jobs: Jobs) -> list[web.RouteDef]:
    """Return the table of routes."""
    openai = OpenAI(serving)
    reports = Reports(serving, connections)
    job = JobRoutes(serving, jobs)
    page = Page()
    plain = Infer(serving)
    return [
        web.post("/v1/chat/completions", openai.chat),
        web.post("/v1/completions", openai.completion),
        web.get("/v1/models", openai.models),
        web.get("/v1/models/{name:.+}", openai.model),
        web.post("/v1/jobs", job.begin),
        web.get("/v1/jobs/{id}", job.card),
        web.post("/v1/jobs/{id}/cancel", job.cancel),
        web.get("/v1/stream", job.stream),
        web.post("/infer", plain.infer),
        web.post("/infer_stream", plain.stream),
        web.get("/", page.index),
        web.get("/assets/{name}", page.asset),
        web.get("/openapi.json", openapi),
        web.get("/health", reports.health),
        web.get("/ready", reports.ready),
        web.get("/status", reports.status),
        web.get("/models", reports.models),
        web.get("/metrics", reports.metrics),
    ]
