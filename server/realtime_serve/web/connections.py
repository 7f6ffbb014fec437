"""Which connections carry a request at this moment, so that those that carry none can be closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from realtime_serve.generation.draining import Drain

Protocol = RequestHandler

SWEEP_SECONDS = 2.0  # the grace for an idle connection, and how often they are looked at
HEAD_SECONDS = 30.0
"""A new connection has so long for the head of its first request; aiohttp itself would wait for it for ever."""


class Connections:
    """The open connections of one HTTP server."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._busy: set[Protocol] = set()
        self._carried: set[Protocol] = set()
        self._silent: dict[Protocol, float] = {}
        """Connections that have carried no request yet, and when they were first seen, on the monotonic clock."""

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
        """Until cancelled: close connections on which no request comes, and while draining those that carry none."""
        idle_before: set[Protocol] = set()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._carried.intersection_update(self._server.connections if self._server else ())
            self._close_silent(time.monotonic())
            if not drain.active:
                idle_before = set()
                continue
            for protocol in self._idle() & idle_before:
                protocol.force_close()  # close() alone would leave it open, with nobody who answers
            idle_before = self._idle()

    def _close_silent(self, now: float) -> None:
        silent = self._idle() - self._carried
        self._silent = {protocol: self._silent.get(protocol, now) for protocol in silent}
        for protocol, since in self._silent.items():
            if now - since >= HEAD_SECONDS:
                protocol.force_close()

    def _idle(self) -> set[Protocol]:
        return set(self._server.connections) - self._busy if self._server else set()
