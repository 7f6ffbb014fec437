"""Who calls, at the door; and what the answer says of the caller's limits."""

from __future__ import annotations

import math
from collections.abc import Iterable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from realtime_serve.callers.caller import Presented, identify
from realtime_serve.errors import KeyUnknown, Standing
from realtime_serve.generation.serving import Serving
from realtime_serve.web.keys import CALLER

GUARDED = ("/v1/", "/infer")  # the rest is for probes, the operator, Prometheus, and the page
MINUTE = 60


def authenticate(serving: Serving) -> Middleware:
    """Find out who calls before anything is read; 401 for those who would need a key."""
    refused = serving.metrics.count("unauthorized", "Requests without a client's key", ())

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(GUARDED):
            try:
                request[CALLER] = identify(presented(request), serving.settings.current)
            except KeyUnknown:
                refused.inc()
                raise
        return await handler(request)

    return middleware


def presented(request: web.Request) -> Presented:
    """Return what the request shows of its sender. Addresses are the connection's own: anybody can write a header."""
    scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    key = bearer or request.headers.get("X-API-Key", "")
    return Presented(key, request.remote or "unknown", request.headers)


def limit_headers(standings: Iterable[Standing]) -> dict[str, str]:
    """Return OpenAI's headers, and those of the IETF's draft (draft-ietf-httpapi-ratelimit-headers-10)."""
    headers: dict[str, str] = {}
    policies, states = [], []
    for standing in standings:
        reset = math.ceil(standing.reset_seconds)
        headers[f"x-ratelimit-limit-{standing.unit}"] = str(standing.limit)
        headers[f"x-ratelimit-remaining-{standing.unit}"] = str(standing.remaining)
        headers[f"x-ratelimit-reset-{standing.unit}"] = f"{reset}s"
        policies.append(f'"{standing.unit}";q={standing.limit};w={MINUTE}')
        states.append(f'"{standing.unit}";r={standing.remaining};t={reset}')
    if policies:
        headers["RateLimit-Policy"] = ", ".join(policies)
        headers["RateLimit"] = ", ".join(states)
    return headers
