"""Bodies of requests, before anybody reads what they say."""

from __future__ import annotations

import asyncio

from aiohttp import web

MAX_BODY_BYTES = 8 * 1024 * 1024  # a prompt of a million tokens is about half of it
BODY_SECONDS = 60.0  # for a whole body to come


async def read_json(request: web.Request) -> bytes:
    """Return the body of a JSON request; 413 when it is too large, 415 when it is no JSON, 408 when it does not come.

    Another content type is refused so that a page of another site cannot post without the browser asking us first.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(
            text=f"Content-Type is {request.content_type!r}; send application/json"
        )
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body was not whole within {BODY_SECONDS:.0f} s") from None
