"""Which connections carry a request at this moment, so that those that carry none can be closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from realtime_serve.generation.draining import Drain

Protocol = RequestHandler

SWEEP_SECONDS = 2.0  # the grace for an idle connection, and how often they are looked at


class Connections:
    """The open connections of one HTTP server."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._busy: set[Protocol] = set()
        self._carried: set[Protocol] = set()

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._server.connections) if self._server else 0

    def follow(self, server: Server) -> None:
        """Look at this server's connections from now on."""
        self._server = server

    @contextmanager
    def busy(self, protocol: Protocol) -> Iterator[None]:
        """Mark a connection as carrying a request."""
        self._busy.add(protocol)
        try:
            yield
        finally:
            self._busy.discard(protocol)
            self._carried.add(protocol)

    def is_kept(self, protocol: Protocol) -> bool:
        """Whether it has carried a request before this one."""
        return protocol in self._carried

    async def close_idle_while(self, drain: Drain) -> None:
        """Until cancelled: while draining, close connections that carried no request for a whole sweep."""
        idle_before: set[Protocol] = set()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._carried.intersection_update(self._server.connections if self._server else ())
            if not drain.active:
                idle_before = set()
                continue
            for protocol in self._idle() & idle_before:
                protocol.force_close()  # close() alone would leave it open, with nobody who answers
            idle_before = self._idle()

    def _idle(self) -> set[Protocol]:
        return set(self._server.connections) - self._busy if self._server else set()
