"""A web application on a thread of its own, for callers that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


@contextmanager
def serving(app: web.Application, host: str = "127.0.0.1") -> Iterator[str]:
    """Its address, without a slash at the end."""
    ready, loop, url = threading.Event(), asyncio.new_event_loop(), []

    def serve() -> None:
        asyncio.set_event_loop(loop)
        server = TestServer(app, host=host)
        loop.run_until_complete(server.start_server())
        url.append(str(server.make_url("/")).rstrip("/"))
        ready.set()
        loop.run_forever()
        loop.run_until_complete(server.close())

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    try:
        yield url[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
