"""The server as its front doors see it: which model, who gets in, what runs now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from realtime_serve.callers.limiter import RateLimiter
from realtime_serve.errors import Draining, ModelNotFound, Overloaded, RateLimited, RequestError, ShuttingDown
from realtime_serve.generation.draining import Drain
from realtime_serve.generation.generation import Generation
from realtime_serve.generation.metrics import Metrics
from realtime_serve.generation.record import Record
from realtime_serve.generation.request import GenerationRequest
from realtime_serve.generation.served import ServedModel
from realtime_serve.settings.live import LiveSettings

log = logging.getLogger("realtime_serve.serving")

LAST_WORDS_SECONDS = 5.0  # for streams that were cut to write their error event


class Serving:
    """Counts every accepted generation request until its answer is written, and can end them all."""

    def __init__(self, *, model: ServedModel, settings: LiveSettings, drain: Drain, metrics: Metrics) -> None:
        self.model = model
        self.settings = settings
        self.drain = drain
        self.metrics = metrics
        self.limiter = RateLimiter(lambda: settings.current)
        self.begun = time.time()
        self._active = 0
        self._running: set[Generation] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._limited = metrics.count("rate_limited", "Requests above a caller's limit", ("client", "unit"))
        self._watch()

    @property
    def active(self) -> int:
        """Accepted generation requests: waiting, running, or their answer still being written."""
        return self._active

    def find(self, name: str) -> ServedModel:
        """Return the model of this name.

        Raises:
            ModelNotFound: there is none.

        """
        if name != self.model.name:
            raise ModelNotFound(f"no model {name!r} here; this server has {self.model.name!r}")
        return self.model

    @asynccontextmanager
    async def accept(self, request: GenerationRequest) -> AsyncIterator[Generation]:
        """Let a request in for as long as the context lasts; its answer is written inside.

        Whatever ends the context early (an error, the client gone) takes the sequence out of the engine.

        Raises:
            RequestError: it is not let in.

        """
        model = self.find(request.model)
        record = Record(request, version=model.version, metrics=self.metrics)
        try:
            self._admit()
            with self._counted():
                loaded = model.require()
                ticket = self.limiter.admit(request.caller)
                generation = Generation(
                    request, loaded=loaded, settings=self.settings.current, record=record, ticket=ticket
                )
                self._running.add(generation)
                try:
                    await generation.submit()
                    yield generation
                finally:
                    self._running.discard(generation)
                    generation.abort()
                    ticket.settle(record.tokens)
        except RequestError as error:
            if isinstance(error, RateLimited):
                self._limited.labels(request.caller.client, error.unit).inc()
            record.fail(error.code)
            raise
        except (asyncio.CancelledError, ConnectionError):
            record.lose_client()
            raise
        finally:
            record.close()

    async def finish(self, seconds: float) -> None:
        """Wait until nothing is active, at most so long; then cut what is left, which says so to its clients."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("cutting %d requests: the drain timeout has passed", self._active)
            await self._cut_all()

    def _watch(self) -> None:
        watch, model = self.metrics.watch_model, self.model
        watch("num_requests_running", "Sequences in the batch", model.labels, lambda: model.stats.running)
        watch("num_requests_waiting", "Sequences that wait to run", model.labels, lambda: model.stats.waiting)
        watch("active_streams", "Accepted and not yet answered", model.labels, lambda: self._active)
        self.metrics.watch("draining", "1 while draining", lambda: self.drain.active)
        self.metrics.watch(
            "settings_generation", "Of the settings in force", lambda: self.settings.current.generation
        )

    async def _cut_all(self) -> None:
        for generation in tuple(self._running):
            generation.cut(ShuttingDown("the server stopped before this answer was whole"))
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d requests did not end in time", self._active)

    def _admit(self) -> None:
        if self.drain.refuses:
            raise Draining("this server takes no new requests: it is being replaced")
        settings = self.settings.current
        if self._active >= settings.limits.max_connections:
            raise Overloaded(f"{self._active} requests are in progress, the limit")
        room = settings.batching.max_batch_size + settings.limits.max_queue
        if self._active >= room:
            raise Overloaded(f"a full batch runs and {settings.limits.max_queue} requests wait, the limit")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active -= 1
            if self._active == 0:
                self._idle.set()
