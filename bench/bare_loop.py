"""`python -m bench.bare_loop PORT`: the least that aiohttp can do for a stream of events: write them, and nothing else."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

CHUNK = (
    b'data: {"id":"cmpl-00000000000000000000000000000000","created":1700000000,"model":"chat","system_fingerprint":"rs-1.0.0",'
    b'"object":"text_completion","choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":null}]}\n\n'
)


async def stream(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for _ in range(asked["max_tokens"]):
        await response.write(CHUNK)
        await asyncio.sleep(asked.get("pace", 0))  # with 0 each stream still gets its turn
    await response.write(b"data: [DONE]\n\n")
    return response


def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/completions", stream)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
