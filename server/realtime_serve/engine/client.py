"""The front end's side of one engine process: starts it, gives it work, hands each request its tokens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime_serve.engine import frames
from realtime_serve.engine.messages import (
    Abort,
    Configure,
    Failed,
    FinishReason,
    FromEngine,
    Heartbeat,
    Load,
    ModelCard,
    Progress,
    Ready,
    Sampling,
    Shutdown,
    Step,
    Submit,
    ToEngine,
    Transfer,
)
from realtime_serve.engine.streams import TokenStream
from realtime_serve.errors import EngineFailed, EngineGone

log = logging.getLogger("realtime_serve.engine")

READ_SIZE = 1 << 16
WEDGED_SECONDS = 60.0
"""With work in hand and no frame for so long, the engine counts as dead."""
STOP_SECONDS = 5.0


@dataclass
class EngineStats:
    """What the engine last said of itself."""

    running: int = 0
    waiting: int = 0
    steps: int = 0
    last_step_seconds: float = 0.0
    kv_usage: float = 0.0
    """Share of the KV cache that sequences hold."""
    heard: float = field(default_factory=time.monotonic)
    """When its last frame came, on the monotonic clock."""
    alive: bool = True
    stage: str = ""
    """loading, warming, or empty when that is done."""
    message: str = ""
    transfer: Transfer | None = None
    """Of weights that are being downloaded."""

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self.heard


class Engine:
    """One engine process, which serves one version of a model."""

    def __init__(
        self,
        *,
        command: Sequence[str],
        load: Load,
        environment: Mapping[str, str] | None = None,
        on_step: Callable[[Step], None] | None = None,
        wedged_seconds: float = WEDGED_SECONDS,
    ) -> None:
        self.stats = EngineStats()
        self._command = command
        self._load = load
        self._environment = environment
        self._on_step = on_step
        self._wedged_seconds = wedged_seconds
        self._ids = itertools.count()
        self._streams: dict[int, TokenStream] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ready: asyncio.Future[ModelCard] = asyncio.get_running_loop().create_future()
        self._failed: asyncio.Future[EngineFailed] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> ModelCard:
        """Spawn it, and wait until it has loaded and generated. Raises EngineFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                "--fd",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **self._environment} if self._environment else None,
            )
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._watch())]
        self.tell(self._load)
        outcomes: list[asyncio.Future[Any]] = [self._ready, self._failed]
        await asyncio.wait(outcomes, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.done():
            return self._ready.result()
        raise self._failed.result()

    def submit(
        self,
        prompt: Sequence[int],
        *,
        sampling: Sampling,
        max_tokens: int,
        stop_ids: Sequence[int],
        priority: int = 1,
        buffer_tokens: int = 1024,
    ) -> TokenStream:
        """Give it a sequence. Raises EngineGone."""
        stream = TokenStream(self, next(self._ids), buffer_tokens)
        self.tell(Submit(stream.id, list(prompt), max_tokens, sampling, list(stop_ids), priority))
        self._streams[stream.id] = stream
        return stream

    async def configure(self, batching: Configure) -> None:
        """Form batches so from now on. Raises EngineGone."""
        self.tell(batching)

    async def wait_failed(self) -> EngineFailed:
        """Return when the process has died or stopped making progress; never after `stop`."""
        return await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """End the process. What still streams ends with an error."""
        process = self._process
        if process is None:
            return
        self.hint(Shutdown())
        for task in self._tasks:
            task.cancel()
        self._end_streams("the engine was stopped")
        self.stats.alive = False
        if self._writer is not None:
            self._writer.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    def tell(self, message: ToEngine) -> None:
        """Send without waiting: messages are small, and the engine reads between any two steps. Raises EngineGone."""
        if self._writer is None or not self._connected:
            raise EngineGone(f"the engine process is not there: {self.stats.message or 'not started'}")
        self._writer.write(frames.encode(message))

    def hint(self, message: ToEngine) -> None:
        """Send it, or not when the engine is gone: then nothing is left that it could mean."""
        if self._connected:
            self.tell(message)

    @property
    def _connected(self) -> bool:
        return self._writer is not None and self.stats.alive and not self._writer.is_closing()

    def forget(self, sequence_id: int) -> None:
        """The reader has gone."""
        if self._streams.pop(sequence_id, None) is not None:
            self.hint(Abort(sequence_id))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        cut = frames.reader_of_engine()
        # A process that is killed with unread messages in its socket resets the connection.
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(READ_SIZE):
                self.stats.heard = time.monotonic()
                for message in cut.feed(data):
                    self._take(message)
        code = await self._process.wait() if self._process else None
        self._fail("EngineDied", f"the engine process ended (exit status {code})")

    def _take(self, message: FromEngine) -> None:
        match message:
            case Step():
                self._deliver(message)
            case Progress(stage=stage, message=text, transfer=transfer):
                self.stats.stage, self.stats.message, self.stats.transfer = stage, text, transfer
            case Ready(card=card):
                self.stats.stage, self.stats.message = "", ""
                self._ready.set_result(card)
            case Failed(reason=reason, message=text):
                self._fail(reason, text)
            case Heartbeat():
                pass

    def _deliver(self, step: Step) -> None:
        stats = self.stats
        stats.running, stats.waiting = step.running, step.waiting
        stats.kv_usage = step.kv_usage
        stats.steps, stats.last_step_seconds = stats.steps + 1, step.seconds
        if self._on_step is not None and step.seconds:
            self._on_step(step)
        for sequence_id in step.started:
            if sequence_id in self._streams:
                self._streams[sequence_id].start(step.seconds)
        for sequence_id, token, finish in zip(step.ids, step.tokens, step.finishes, strict=True):
            stream = self._streams.get(sequence_id)
            if stream is None:
                continue  # its reader has gone; the abort is on its way
            if finish:
                del self._streams[sequence_id]
            error, logprob = step.errors.get(sequence_id, ""), step.logprobs.get(sequence_id)
            stream.push(token, finish, error, logprob)

    async def _watch(self) -> None:
        """A process that is there and does nothing is as good as dead."""
        await self._ready
        while True:
            await asyncio.sleep(self._wedged_seconds / 10)
            if self._streams and self.stats.silent_seconds > self._wedged_seconds:
                self._fail(
                    "EngineWedged",
                    f"the engine was silent for {self._wedged_seconds:.0f} s with work in hand",
                )
                if self._process is not None and self._process.returncode is None:
                    self._process.kill()
                return

    def _fail(self, reason: str, message: str) -> None:
        if self._failed.done():
            return
        self.stats.alive, self.stats.message = False, message
        self._failed.set_result(EngineFailed(reason, message))
        self._end_streams(message)

    def _end_streams(self, message: str) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.push(-1, FinishReason.ERROR, message)
