"""The server as its front doors see it: which models, who gets in, what runs now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from realtime_serve.callers.limiter import RateLimiter
from realtime_serve.errors import Draining, Overloaded, RateLimited, RequestError, ShuttingDown
from realtime_serve.generation.draining import Drain
from realtime_serve.generation.generation import Generation
from realtime_serve.generation.metrics import Metrics, Values
from realtime_serve.generation.record import Record
from realtime_serve.generation.registry import ModelRegistry
from realtime_serve.generation.request import GenerationRequest
from realtime_serve.generation.served import ServedVersion
from realtime_serve.generation.work import Work
from realtime_serve.settings.live import LiveSettings
from realtime_serve.tracing.span import Tracer


class Serving:
    """Counts every accepted generation request until its answer is written, and can end them all."""

    def __init__(
        self,
        *,
        models: ModelRegistry,
        settings: LiveSettings,
        drain: Drain,
        metrics: Metrics,
        tracer: Tracer | None = None,
    ) -> None:
        self.models = models
        self.settings = settings
        self.drain = drain
        self.metrics = metrics
        self.tracer = tracer
        self.limiter = RateLimiter(lambda: settings.current)
        self.begun = time.time()
        self._work = Work()
        self._limited = metrics.count("rate_limited", "Requests above a caller's limit", ("client", "unit"))
        self._watch()

    @property
    def active(self) -> int:
        """Accepted generation requests: waiting, running, or their answer still being written."""
        return self._work.active

    @asynccontextmanager
    async def accept(self, request: GenerationRequest) -> AsyncIterator[Generation]:
        """Let a request in for as long as the context lasts; its answer is written inside.

        Whatever ends the context early (an error, the client gone) takes the sequence out of the engine.

        Raises:
            RequestError: it is not let in.

        """
        served = self.models.find(request.model).find(request.version)
        record = Record(request, version=served.version, metrics=self.metrics, tracer=self.tracer)
        try:
            self._admit()
            # Counted before anything is awaited: a version with work in hand is not unloaded.
            with self._work.counted(), served.work.counted():
                loaded = served.require()
                ticket = self.limiter.admit(request.caller)
                generation = Generation(
                    request, loaded=loaded, settings=self.settings.current, record=record, ticket=ticket
                )
                with self._work.running(generation), served.work.running(generation):
                    try:
                        await generation.submit()
                        yield generation
                    finally:
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
        await self._work.finish(seconds, ShuttingDown("the server stopped before this answer was whole"))

    def _watch(self) -> None:
        def each(read: Callable[[ServedVersion], float]) -> Callable[[], Values]:
            return lambda: [(version.labels, read(version)) for version in self.models.versions()]

        watch = self.metrics.watch_versions
        watch("num_requests_running", "Sequences in the batch", each(lambda version: version.stats.running))
        watch(
            "num_requests_waiting", "Sequences that wait to run", each(lambda version: version.stats.waiting)
        )
        watch(
            "kv_cache_usage_perc",
            "Share of the KV cache that sequences hold, 0 to 1",
            each(lambda version: version.stats.kv_usage),
        )
        watch("active_streams", "Accepted and not yet answered", each(lambda version: version.work.active))
        watch("version_active", "1 for the version that gets new work", self._active_versions)
        self.metrics.watch("draining", "1 while draining", lambda: self.drain.active)
        self.metrics.watch(
            "settings_generation", "Of the settings in force", lambda: self.settings.current.generation
        )

    def _active_versions(self) -> Values:
        for model in self.models.models.values():
            for version in model.versions.values():
                yield version.labels, version is model.current

    def _admit(self) -> None:
        if self.drain.refuses:
            raise Draining("this server takes no new requests: it is being replaced")
        settings = self.settings.current
        if self.active >= settings.limits.max_connections:
            raise Overloaded(f"{self.active} requests are in progress, the limit")
        room = settings.batching.max_batch_size + settings.limits.max_queue
        if self.active >= room:
            raise Overloaded(f"a full batch runs and {settings.limits.max_queue} requests wait, the limit")
