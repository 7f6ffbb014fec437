"""Where the application's parts are found from a request."""

from __future__ import annotations

from aiohttp import web

from realtime_serve.jobs.jobs import Jobs

JOBS = web.AppKey("jobs", Jobs)
REQUEST_ID = web.RequestKey("request_id", str)


def request_id(request: web.BaseRequest) -> str:
    """The request's id; empty for what never reached a route."""
    return request[REQUEST_ID] if REQUEST_ID in request else ""  # noqa: SIM401  get() is not typed
