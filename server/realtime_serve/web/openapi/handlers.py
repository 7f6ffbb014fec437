"""The document over HTTP."""

from __future__ import annotations

from aiohttp import web

from realtime_serve.web.errors import json_response
from realtime_serve.web.openapi.document import document


async def openapi(request: web.Request) -> web.StreamResponse:
    """GET /openapi.json."""
    del request
    return json_response(document(), headers={"Cache-Control": "no-cache"})
