"""Where the application's parts are found from a request."""

from __future__ import annotations

from aiohttp import web

from realtime_serve.callers.caller import ANYONE, Caller
from realtime_serve.callers.limiter import Ticket
from realtime_serve.generation.request import Origin
from realtime_serve.jobs.jobs import Jobs
from realtime_serve.tracing.span import Trace

JOBS = web.AppKey("jobs", Jobs)
CALLER = web.RequestKey("caller", Caller)
TICKET = web.RequestKey("ticket", Ticket)
REQUEST_ID = web.RequestKey("request_id", str)
MODEL_VERSION = web.RequestKey("model_version", str)
"""The version that answers this request."""


def request_id(request: web.BaseRequest) -> str:
    """The request's id; empty for what never reached a route."""
    return request[REQUEST_ID] if REQUEST_ID in request else ""  # noqa: SIM401  get() is not typed


def origin(request: web.Request) -> Origin:
    """Where the request comes from, the version that it addresses, and the trace that it is part of."""
    caller = request[CALLER] if CALLER in request else ANYONE  # noqa: SIM401
    headers = request.headers
    trace = Trace(headers.get("traceparent", ""), ",".join(headers.getall("tracestate", ())))
    return Origin(request_id(request), caller, headers.get("X-Model-Version", ""), trace)
