"""A server that streams whatever a test wants to be said."""

import json
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

TOKENS = 5


def chunk(text=None, *, version="1.0.0", finish=None, request="chatcmpl-1", usage=None):
    choices = [{"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}]
    body = {"id": request, "system_fingerprint": f"rs-{version}", "choices": [] if usage else choices}
    if usage:
        body["usage"] = {"prompt_tokens": 3, "completion_tokens": usage, "total_tokens": 3 + usage}
    return "data: " + json.dumps(body) + "\n\n"


def words(count=TOKENS, **options):
    return [chunk(f"word{number} ", **options) for number in range(count)]


END = [chunk(finish="length"), chunk(usage=TOKENS), "data: [DONE]\n\n"]


WHOLE = [*words(), *END]


class Abort:
    """In place of an event: the server drops the connection."""


@asynccontextmanager
async def serving(handler):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


def speaks(events, *, status=200, content_type="text/event-stream", version="1.0.0"):
    """A handler that writes these events, and nothing else."""

    async def handle(request):
        headers = {"Content-Type": content_type, **({"X-Model-Version": version} if version else {})}
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        for event in events:
            if isinstance(event, Abort):
                request.transport.abort()
                return response
            await response.write(event.encode())
        return response

    return handle
