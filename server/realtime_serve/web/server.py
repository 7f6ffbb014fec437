"""The HTTP server: the application on a port, and its orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from realtime_serve.generation.serving import Serving
from realtime_serve.jobs.jobs import Jobs
from realtime_serve.jobs.store import Store
from realtime_serve.web.bodies import MAX_BODY_BYTES
from realtime_serve.web.callers import authenticate
from realtime_serve.web.connections import Connections
from realtime_serve.web.keys import JOBS
from realtime_serve.web.malformed import say_shortly
from realtime_serve.web.middleware import identify, send_elsewhere, sign, tell_errors
from realtime_serve.web.routes import routes

BACKLOG = 1024  # connections that may arrive in one burst
LAST_RESPONSES_SECONDS = 2.0  # for short answers that are being written when the server ends


class HttpServer:
    """Listens from `start` to `stop`."""

    def __init__(self, serving: Serving, store: Store, more: Sequence[Middleware] = ()) -> None:
        self._serving = serving
        self._jobs = Jobs(serving, store)
        self._connections = Connections()
        app = web.Application(
            middlewares=[
                identify(self._connections),
                tell_errors,
                send_elsewhere(self._connections),
                authenticate(serving),
                *more,
            ],
            client_max_size=MAX_BODY_BYTES,
        )
        app.router.add_routes(routes(serving, self._connections, self._jobs))
        app[JOBS] = self._jobs
        app.on_response_prepare.append(sign(serving))
        # Without handler_cancellation a client that left would be generated for to the end.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=LAST_RESPONSES_SECONDS
        )

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which matters where 0 was asked for.

        Raises:
            OSError: the address cannot be had.

        """
        say_shortly()
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("the runner has no server after its setup")
        self._connections.follow(self._runner.server)
        site = web.TCPSite(self._runner, host, port, backlog=BACKLOG)
        await site.start()
        return site.port

    async def run(self) -> None:
        """Look after the connections and the jobs until cancelled."""
        await asyncio.gather(self._connections.close_idle_while(self._serving.drain), self._jobs.run())

    async def stop(self) -> None:
        """Listen no more, close idle connections, let short answers end."""
        await self._runner.cleanup()
        await self._jobs.stop()
