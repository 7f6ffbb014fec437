"""One version of a model and the engine process that runs it: loads it, follows it, starts it again when it dies."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from realtime_serve.engine.client import Engine, EngineStats
from realtime_serve.engine.messages import Configure, ModelCard
from realtime_serve.errors import EngineGone, LoadFailed, ModelNotReady, ServeError
from realtime_serve.settings.live import LiveSettings
from realtime_serve.settings.runtime import Batching, Settings
from realtime_serve.text.tokenizer import Tokenizer, load_tokenizer

log = logging.getLogger("realtime_serve.model")

FIRST_PAUSE_SECONDS = 1.0  # before an engine that died is started again; doubled each time
LONGEST_PAUSE_SECONDS = 30.0
RESTARTS_IN_A_ROW = 5  # failed ones, after which the process gives up


class State(enum.StrEnum):
    """What /status says of a version."""

    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    FAILED = "failed"


class Loaded(NamedTuple):
    """What there is while, and only while, the version is ready."""

    engine: Engine
    card: ModelCard
    tokenizer: Tokenizer


class ServedModel:
    """A name, a version, and at most one engine process at a time."""

    def __init__(
        self, *, name: str, version: str, make_engine: Callable[[], Engine], settings: LiveSettings
    ) -> None:
        self.name = name
        self.version = version
        self.loaded: Loaded | None = None
        self._state = State.LOADING
        self._message = ""
        self._make_engine = make_engine
        self._settings = settings
        self._engine: Engine | None = None
        settings.subscribe(self._configure)

    @property
    def labels(self) -> tuple[str, str]:
        """The values of the metrics' labels `model_name` and `model_version`."""
        return self.name, self.version

    @property
    def state(self) -> State:
        """Where it is between loading and failed."""
        warming = self._state is State.LOADING and self.stats.stage == State.WARMING
        return State.WARMING if warming else self._state

    @property
    def message(self) -> str:
        """What it is doing or what went wrong, for people."""
        return self._message or (self._engine.stats.message if self._engine else "")

    @property
    def stats(self) -> EngineStats:
        """What the engine last said of itself."""
        return self._engine.stats if self._engine else EngineStats()

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

    async def run(self) -> NoReturn:
        """Serve until cancelled.

        Raises:
            LoadFailed: it does not load at the first time, or several times in a row after the engine died.

        """
        try:
            await self._start()
        except ServeError as error:
            self._fail(str(error))
            raise LoadFailed(str(error)) from error
        while True:
            await self._follow()
            await self._start_again()

    async def stop(self) -> None:
        """End the engine process."""
        self.loaded = None
        if self._engine is not None:
            await self._engine.stop()

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
        log.info("ready", extra={"fields": {"model": self.name, "version": self.version, **_describe(card)}})

    async def _follow(self) -> None:
        """Return when the engine is no longer there."""
        engine = self.require().engine
        failure = await engine.wait_failed()
        self.loaded = None
        self._fail(f"the engine died: {failure}")
        await engine.stop()

    async def _start_again(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        for _ in range(RESTARTS_IN_A_ROW):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                return await self._start()
            except ServeError as error:
                self._fail(str(error))
        raise LoadFailed(f"{RESTARTS_IN_A_ROW} restarts of the engine failed, the last one: {self._message}")

    def _fail(self, message: str) -> None:
        self._state, self._message = State.FAILED, message
        log.error(
            "failed", extra={"fields": {"model": self.name, "version": self.version, "reason": message}}
        )

    async def _configure(self, settings: Settings) -> None:
        if self.loaded is None:
            return  # it is told when it starts
        try:
            await self.loaded.engine.configure(engine_batching(settings.batching))
        except EngineGone:
            log.info("the engine is gone; the one that follows gets the new settings")


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
