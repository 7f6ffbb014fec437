"""A whole server inside a program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from realtime_serve.api.configs import BatchConfig, ModelConfig, ServerConfig
from realtime_serve.api.metrics import MetricsCollector
from realtime_serve.api.registry import ModelRegistry
from realtime_serve.errors import SettingsInvalid
from realtime_serve.generation.draining import Drain
from realtime_serve.generation.inference import (
    InferenceRequest,
    InferenceResponse,
    StreamToken,
    answering,
    infer,
)
from realtime_serve.generation.serving import Serving
from realtime_serve.jobs.memory import MemoryStore
from realtime_serve.settings.live import LiveSettings
from realtime_serve.web.chain import MiddlewareChain
from realtime_serve.web.server import HttpServer

log = logging.getLogger("realtime_serve")


class InferenceServer:
    """Serves models over HTTP, and to its own program.

    Args:
        max_connections: generation requests in progress at once.
        request_timeout: seconds from acceptance to the last token.
        max_batch_size: sequences in one step.
        config: all settings of a server; the arguments before count where they are given.
        batching: how requests become batches.
        middleware: what is put around each HTTP request.

    Raises:
        ValueError: a value is out of bounds.

    `asyncio.run(server.start(port=8000))` serves until a signal or `stop`. Attributes: `model_registry`, `metrics`, and `port`
    once it listens.

    """

    def __init__(
        self,
        max_connections: int | None = None,
        request_timeout: float | None = None,
        max_batch_size: int | None = None,
        *,
        config: ServerConfig | None = None,
        batching: BatchConfig | None = None,
        middleware: MiddlewareChain | None = None,
    ) -> None:
        config = config or ServerConfig()
        self.config = replace(
            config,
            max_connections=config.max_connections if max_connections is None else max_connections,
            request_timeout=config.request_timeout if request_timeout is None else request_timeout,
        )
        batching = batching or BatchConfig()
        self.batching = (
            batching if max_batch_size is None else replace(batching, max_batch_size=max_batch_size)
        )
        self.middleware = middleware or MiddlewareChain()
        self.port = 0
        self.metrics = MetricsCollector()
        self._settings = LiveSettings("")
        self.model_registry = ModelRegistry(self._settings, self.metrics)
        self._drain = Drain()
        self._serving = Serving(
            models=self.model_registry, settings=self._settings, drain=self._drain, metrics=self.metrics
        )
        self._configs: list[ModelConfig] = []
        self._ready = asyncio.Event()
        self._ending = asyncio.Event()
        self._ended = asyncio.Event()

    def register_model(self, config: ModelConfig) -> None:
        """Have a version loaded when the server starts; the first version of a name is its active one.

        Raises:
            ValueError: the version is registered already.

        """
        if any((one.name, one.version) == (config.name, config.version) for one in self._configs):
            raise ValueError(f"version: {config.version!r} of {config.name!r} is registered already")
        self._configs.append(config)
        self.model_registry.expected.add(config.name)

    async def start(self, host: str | None = None, port: int | None = None) -> None:
        """Listen, load what is registered, and serve until `stop`, a signal, or cancellation; then drain.

        Raises:
            ValueError: no model is registered.
            OSError: the address cannot be had.
            LoadFailed: a model could not be loaded.

        """
        if not self._configs:
            raise ValueError("register a model first")
        await self._settings.load(json.dumps(self.config.settings(self.batching)).encode())
        if self._settings.error:
            raise SettingsInvalid(self._settings.error)
        window = self._settings.current.streaming.resume_window_seconds
        http = HttpServer(self._serving, MemoryStore(lambda: window), tuple(self.middleware))
        address = self.config.host if host is None else host, self.config.port if port is None else port
        self.port = await http.start(*address)
        log.info("listening", extra={"fields": {"host": address[0], "port": self.port}})
        looking_after = asyncio.create_task(http.run())
        try:
            with _signals(self._ending):
                await self._load_or_end()
                await self._ending.wait()
        finally:
            self._drain.terminate()
            await self._serving.finish(self.config.graceful_shutdown_timeout)
            looking_after.cancel()
            await http.stop()
            await self.model_registry.stop()
            self._ended.set()

    async def ready(self) -> None:
        """Return when every registered model takes requests."""
        await self._ready.wait()

    async def stop(self) -> None:
        """Take no new requests, let running ones end, and return when `start` is done with it."""
        self._ending.set()
        await self._ended.wait()

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Return the whole answer, by the way of every request.

        Raises:
            RequestError: there is none, for the reason it names.

        """
        return await infer(self._serving, request)

    async def stream(self, request: InferenceRequest) -> AsyncIterator[StreamToken]:
        """Yield the answer's tokens as they come.

        Raises:
            RequestError: there is no whole answer, for the reason it names.

        """
        async with answering(self._serving, request) as answer:
            async for token in answer.tokens():
                yield token

    async def _load_or_end(self) -> None:
        loading = asyncio.create_task(self._load())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((loading, ending), return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
        finally:
            for task in (loading, ending):
                task.cancel()
            await asyncio.gather(loading, ending, return_exceptions=True)

    async def _load(self) -> None:
        for config in self._configs:
            await self.model_registry.load_model(config)
        self._ready.set()


@contextlib.contextmanager
def _signals(ending: asyncio.Event) -> Iterator[None]:
    """SIGTERM ends the server, where a program's main thread runs it; Ctrl-C cancels it, as asyncio does by itself."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, ending.set)
    except (NotImplementedError, RuntimeError, ValueError):  # another thread's loop: its program decides
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
