"""One version of a model and the engine process that runs it: loads it, follows it, starts it again when it dies."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from realtime_serve.engine.client import Engine, EngineStats
from realtime_serve.engine.messages import Configure, ModelCard
from realtime_serve.engine.shortage import OUT_OF_MEMORY
from realtime_serve.errors import EngineFailed, EngineGone, ModelNotReady, ServeError
from realtime_serve.generation.work import Work
from realtime_serve.settings.live import LiveSettings
from realtime_serve.settings.runtime import Batching, Settings
from realtime_serve.settings.version import ModelVersion
from realtime_serve.text.tokenizer import Tokenizer, load_tokenizer

log = logging.getLogger("realtime_serve.model")

FIRST_PAUSE_SECONDS = 1.0  # before an engine that died is started again; doubled each time
LONGEST_PAUSE_SECONDS = 30.0
RESTARTS_IN_A_ROW = 5  # failed ones, after which it is given up


class State(enum.StrEnum):
    """What /status says of a version."""

    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Loaded(NamedTuple):
    """What there is while, and only while, the version is ready."""

    engine: Engine
    card: ModelCard
    tokenizer: Tokenizer


class ServedVersion:
    """A name, a version, and at most one engine process at a time."""

    def __init__(
        self,
        definition: ModelVersion,
        *,
        name: str,
        make_engine: Callable[[], Engine],
        settings: LiveSettings,
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.definition = definition
        self.version = definition.version
        self.loaded: Loaded | None = None
        self.work = Work(on_change)
        self.given_up = False
        """It failed, and is not started again."""
        self.again = False
        """What it lacked when it was given up may be there now."""
        self.ending = False
        self.drain_until = 0.0
        """On the monotonic clock; 0 while it does not drain."""
        self._state = State.LOADING
        self._message = ""
        self._make_engine = make_engine
        self._settings = settings
        self._on_change = on_change
        self._engine: Engine | None = None
        settings.subscribe(self._configure)

    @property
    def labels(self) -> tuple[str, str]:
        """The values of the metrics' labels `model_name` and `model_version`."""
        return self.name, self.version

    @property
    def state(self) -> State:
        """Where it is between loading and its end."""
        if self.draining and not self.given_up:
            return State.DRAINING
        warming = self._state is State.LOADING and self.stats.stage == State.WARMING
        return State.WARMING if warming else self._state

    @property
    def message(self) -> str:
        """What it is doing or what went wrong, for people. What went wrong begins with one CamelCase word."""
        return self._message or (self._engine.stats.message if self._engine else "")

    @property
    def stats(self) -> EngineStats:
        """What the engine last said of itself."""
        return self._engine.stats if self._engine else EngineStats()

    @property
    def is_loading(self) -> bool:
        """Whether it is on its way to be ready."""
        return self._state is State.LOADING

    @property
    def draining(self) -> bool:
        """Whether it only ends what it has."""
        return self.drain_until > 0

    @property
    def healthy(self) -> bool:
        """Whether it serves, or is on its way to."""
        return self._state is not State.FAILED and self.stats.alive

    def require(self) -> Loaded:
        """Return what a generation needs.

        Raises:
            ModelNotReady: it is not loaded (yet, or again).

        """
        if self.loaded is None:
            raise ModelNotReady(f"the model {self.name!r} is {self.state}: {self.message}".rstrip(": "))
        return self.loaded

    def drain(self, seconds: float) -> None:
        """Only end what it has, within this time; again is no change."""
        if not self.draining:
            self.drain_until = time.monotonic() + seconds
            log.info("version draining", extra={"fields": {**self._names, "active": self.work.active}})

    def take_back(self) -> None:
        """Take new work again."""
        if self.draining and not self.ending:
            self.drain_until = 0.0
            log.info("version no longer draining", extra={"fields": self._names})

    def memory_came_back(self) -> None:
        """Another version has gone."""
        self.again = self.given_up and self._message.startswith(OUT_OF_MEMORY)

    async def run(self) -> None:
        """Serve until cancelled, or until it is given up: it does not load, or the engine cannot be started again."""
        try:
            await self._start()
            while True:
                await self._follow()
                await self._start_again()
        except ServeError as error:
            self._fail(reason_first(error))
            self.given_up = True
            self._on_change()

    async def stop(self) -> None:
        """End the engine process."""
        self.loaded = None
        self._settings.unsubscribe(self._configure)
        if self._engine is not None:
            await self._engine.stop()

    @property
    def _names(self) -> dict[str, object]:
        return {"model": self.name, "version": self.version}

    async def _start(self) -> None:
        self._state, self._message = State.LOADING, ""
        engine = self._engine = self._make_engine()
        try:
            card = await engine.start()
            tokenizer = await asyncio.to_thread(load_tokenizer, Path(card.directory))
            await engine.configure(engine_batching(self._settings.current.batching))
        except BaseException:
            await engine.stop()
            raise
        self.loaded = Loaded(engine, card, tokenizer)
        self._state = State.READY
        log.info("ready", extra={"fields": {**self._names, **_describe(card)}})
        self._on_change()

    async def _follow(self) -> None:
        """Return when the engine is no longer there."""
        engine = self.require().engine
        failure = await engine.wait_failed()
        self.loaded = None
        self._fail(f"{failure.reason}: the engine died: {failure}")
        self._on_change()
        await engine.stop()

    async def _start_again(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        for _ in range(RESTARTS_IN_A_ROW):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                return await self._start()
            except ServeError as error:
                self._fail(reason_first(error))
        raise EngineFailed(
            "EngineCrashed",
            f"{RESTARTS_IN_A_ROW} restarts of the engine failed, the last one: {self._message}",
        )

    def _fail(self, message: str) -> None:
        self._state, self._message = State.FAILED, message
        log.error("failed", extra={"fields": {**self._names, "reason": message}})

    async def _configure(self, settings: Settings) -> None:
        if self.loaded is None:
            return  # it is told when it starts
        try:
            await self.loaded.engine.configure(engine_batching(settings.batching))
        except EngineGone:
            log.info("the engine is gone; the one that follows gets the new settings")


def reason_first(error: ServeError) -> str:
    """What programs look for in a message is its first word."""
    return f"{error.reason}: {error}" if isinstance(error, EngineFailed) else f"LoadFailed: {error}"


def engine_batching(batching: Batching) -> Configure:
    """Return the settings in the engine's words."""
    return Configure(
        max_batch_size=batching.max_batch_size,
        max_batch_tokens=batching.max_batch_tokens,
        max_wait_ms=batching.max_wait_ms,
        dynamic=batching.dynamic,
    )


def _describe(card: ModelCard) -> dict[str, object]:
    return {
        "device": card.device,
        "dtype": card.dtype,
        "max_model_length": card.max_model_length,
        "kv_tokens": card.kv_tokens,
    }
