"""The loop of the engine process: read messages, schedule, run, send one frame. One thread, no asyncio."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable

from realtime_serve.engine import frames
from realtime_serve.engine.batch import Batch, Emission, Result
from realtime_serve.engine.messages import (
    Abort,
    Configure,
    Failed,
    FinishReason,
    FromEngine,
    Heartbeat,
    Hold,
    Load,
    Resume,
    Sampling,
    Shutdown,
    Step,
    Submit,
    ToEngine,
)
from realtime_serve.engine.pages import PageTable
from realtime_serve.engine.runner import Runner
from realtime_serve.engine.scheduler import Scheduler
from realtime_serve.engine.sequence import Sequence

HEARTBEAT_SECONDS = 5.0
FAILED_STEPS = 3
"""So many failed steps in a row, and the process ends: a new one may do better."""
WARM_UP_TOKENS = 4
READ_SIZE = 1 << 16


class FrontEndGone(Exception):
    """The other end of the socket was closed."""


class StepsFail(Exception):
    """The model fails at every step."""


class Link:
    """The engine's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = frames.reader_of_front_end()

    def send(self, message: FromEngine) -> None:
        """Raises FrontEndGone."""
        try:
            self._socket.sendall(frames.encode(message))
        except OSError as error:
            raise FrontEndGone(str(error)) from error

    def receive(self, seconds: float) -> list[ToEngine]:
        """What has come; waits at most so long for something to come. Raises FrontEndGone."""
        readable, _, _ = select.select([self._socket], [], [], max(0.0, seconds))
        if not readable:
            return []
        data = self._socket.recv(READ_SIZE)
        if not data:
            raise FrontEndGone("end of file")
        return list(self._reader.feed(data))

    def receive_load(self) -> Load:
        """The first message. Raises FrontEndGone."""
        while True:
            for message in self.receive(HEARTBEAT_SECONDS):
                if isinstance(message, Load):
                    return message


class Worker:
    def __init__(self, runner: Runner, link: Link) -> None:
        self._runner = runner
        self._link = link
        pages = PageTable(count=runner.page_count, size=runner.page_size)
        self._scheduler = Scheduler(pages, Configure())
        self._failed_steps = 0
        self._stopping = False

    def warm_up(self) -> None:
        """Generate a few tokens, so that the first request finds everything loaded. Raises what the runner raises."""
        size = min(8, self._runner.card.max_model_length - WARM_UP_TOKENS)
        greedy = Sampling(temperature=0.0)
        self._submit(Submit(-1, [0] * max(1, size), WARM_UP_TOKENS, greedy, [], 0))
        while self._scheduler.running or self._scheduler.waiting:
            batch = self._scheduler.schedule(time.monotonic())
            emissions = self._scheduler.apply(batch, self._runner.run(batch))
            if errors := [emission.error for emission in emissions if emission.error]:
                raise StepsFail(f"the warm-up generation failed: {errors[0]}")

    def run(self) -> None:
        """Until Shutdown. Raises FrontEndGone, StepsFail."""
        while not self._stopping:
            for message in self._link.receive(self._patience()):
                self._obey(message)
            at = self._scheduler.forms_at()
            if at is not None and at <= time.monotonic():
                self._step()
            elif at is None:
                self._link.send(Heartbeat())

    def _patience(self) -> float:
        at = self._scheduler.forms_at()
        return HEARTBEAT_SECONDS if at is None else min(HEARTBEAT_SECONDS, at - time.monotonic())

    def _step(self) -> None:
        begin = time.monotonic()
        batch = self._scheduler.schedule(begin)
        if not batch.rows:
            return
        emissions = self._scheduler.apply(batch, self._results(batch))
        started = [row.sequence.id for row in batch.rows if row.start == 0]
        self._link.send(self._frame(emissions, time.monotonic() - begin, started))
        if self._failed_steps >= FAILED_STEPS:
            raise StepsFail(f"{FAILED_STEPS} steps in a row failed: {emissions[0].error}")

    def _results(self, batch: Batch) -> list[Result]:
        try:
            results = self._runner.run(batch)
        except (RuntimeError, MemoryError, ValueError, IndexError, TypeError) as error:
            # Whatever torch raises ends the sequences that were in the step, and no other.
            self._failed_steps += 1
            failed = Result(error=f"{type(error).__name__}: {error}")
            return self._give_up(batch, failed)
        self._failed_steps = 0
        return results

    def _give_up(self, batch: Batch, failed: Result) -> list[Result]:
        for row in batch.rows:
            if not row.samples:
                self._scheduler.abort(row.sequence.id)
                self._link.send(
                    self._frame([Emission(row.sequence.id, -1, FinishReason.ERROR, failed.error)], 0.0)
                )
        return [failed for row in batch.rows if row.samples]

    def _frame(self, emissions: list[Emission], seconds: float, started: Iterable[int] = ()) -> Step:
        return Step(
            ids=[emission.id for emission in emissions],
            tokens=[emission.token for emission in emissions],
            finishes=[int(emission.finish) for emission in emissions],
            errors={emission.id: emission.error for emission in emissions if emission.error},
            running=len(self._scheduler.running),
            waiting=len(self._scheduler.waiting),
            seconds=seconds,
            started=list(started),
        )

    def _obey(self, message: ToEngine) -> None:
        match message:
            case Submit():
                self._submit(message)
            case Abort(id=sequence_id):
                if self._scheduler.abort(sequence_id):
                    self._link.send(self._frame([Emission(sequence_id, -1, FinishReason.ABORT)], 0.0))
            case Hold(id=sequence_id):
                self._scheduler.hold(sequence_id, held=True)
            case Resume(id=sequence_id):
                self._scheduler.hold(sequence_id, held=False)
            case Configure():
                self._scheduler.batching = self._bounded(message)
            case Shutdown():
                self._stopping = True
            case Load():
                self._link.send(Failed("ProtocolError", "a second Load; a process serves one version"))
                self._stopping = True

    def _bounded(self, wanted: Configure) -> Configure:
        """A batch cannot be larger than the cache has pages."""
        size = min(wanted.max_batch_size, self._runner.page_count)
        return Configure(size, wanted.max_batch_tokens, wanted.max_wait_ms, wanted.dynamic)

    def _submit(self, message: Submit) -> None:
        longest = self._runner.card.max_model_length
        if not message.prompt or len(message.prompt) + 1 > longest:
            error = f"a prompt of {len(message.prompt)} tokens does not fit (1 to {longest - 1})"
            self._link.send(self._frame([Emission(message.id, -1, FinishReason.ERROR, error)], 0.0))
            return
        sequence = Sequence(
            id=message.id,
            prompt=message.prompt,
            max_tokens=min(message.max_tokens, longest - len(message.prompt)),
            sampling=message.sampling,
            stop_ids=frozenset(message.stop_ids),
            priority=message.priority,
            arrived=time.monotonic(),
        )
        self._scheduler.add(sequence)
