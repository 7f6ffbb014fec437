"""The loop of the engine process: read messages, schedule, run, send one frame. One thread, no asyncio."""

from __future__ import annotations

import gc
import logging
import secrets
import time

from realtime_serve.engine.batch import Batch, Emission
from realtime_serve.engine.link import Link
from realtime_serve.engine.messages import (
    Abort,
    Configure,
    Failed,
    FinishReason,
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
from realtime_serve.engine.pace import ProbeFailed, measure_ridge
from realtime_serve.engine.pages import PageTable
from realtime_serve.engine.refusal import refuse
from realtime_serve.engine.runner import Runner
from realtime_serve.engine.scheduler import Scheduler
from realtime_serve.engine.sequence import Sequence

log = logging.getLogger("realtime_serve.engine")

HEARTBEAT_SECONDS = 5.0
FAILED_STEPS = 3
"""So many failed steps in a row, and the process ends: a new one may do better."""
WARM_UP_TOKENS = 4
NO_BATCH = Batch([], 0)


class StepsFail(Exception):
    """The model fails at every step."""


class Worker:
    def __init__(self, runner: Runner, link: Link) -> None:
        self._runner = runner
        self._link = link
        pages = PageTable(count=runner.page_count, size=runner.page_size)
        self._longest = min(runner.card.max_model_length, pages.count * pages.size)
        self._scheduler = Scheduler(pages, Configure())
        self._failures: list[Exception] = []
        """Of the steps since the last one that did not fail."""
        self._stopping = False

    def warm_up(self) -> None:
        """Generate a few tokens, so that the first request finds everything loaded. Raises StepsFail, and what the runner raises."""
        size = min(8, self._longest - WARM_UP_TOKENS)
        greedy = Sampling(temperature=0.0)
        self._submit(Submit(-1, [0] * max(1, size), WARM_UP_TOKENS, greedy, [], 0))
        while self._scheduler.running or self._scheduler.waiting:
            batch = self._scheduler.schedule(time.monotonic())
            emissions = self._scheduler.apply(batch, self._runner.run(batch))
            if errors := [emission.error for emission in emissions if emission.error]:
                raise StepsFail(f"the warm-up generation failed: {errors[0]}")
        try:
            self._scheduler.ridge = measure_ridge(self._runner, self._longest)
        except ProbeFailed as failure:
            raise StepsFail(f"the warm-up generation failed: {failure}") from failure
        log.info("warmed up", extra={"fields": {"ridge_tokens": self._scheduler.ridge}})

    def run(self) -> None:
        """Until Shutdown. Raises FrontEndGone, StepsFail."""
        gc.collect()
        gc.freeze()  # the model's hundred thousand objects need no look at each collection
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
        emissions = self._compute(batch)
        self._link.send(self._frame(emissions, time.monotonic() - begin, batch))
        if len(self._failures) >= FAILED_STEPS:
            last = self._failures[-1]
            raise StepsFail(f"{FAILED_STEPS} steps in a row failed, the last one with {told(last)}") from last

    def _compute(self, batch: Batch) -> list[Emission]:
        """Whatever the model raises ends the sequences that were in the step, and no other."""
        try:
            results = self._runner.run(batch)
        except Exception as error:
            log.exception("a step failed", extra={"fields": {"sequences": len(batch.rows)}})
            self._failures.append(error)
            return self._scheduler.fail(batch, told(error))
        self._failures.clear()
        return self._scheduler.apply(batch, results)

    def _frame(self, emissions: list[Emission], seconds: float = 0.0, batch: Batch = NO_BATCH) -> Step:
        return Step(
            ids=[emission.id for emission in emissions],
            tokens=[emission.token for emission in emissions],
            finishes=[int(emission.finish) for emission in emissions],
            errors={emission.id: emission.error for emission in emissions if emission.error},
            running=len(self._scheduler.running),
            waiting=len(self._scheduler.waiting),
            seconds=seconds,
            started=batch.admitted,
            logprobs={e.id: e.logprob for e in emissions if e.logprob is not None},
            kv_usage=self._scheduler.pages.usage,
            prefix_queries=batch.asked,
            prefix_hits=batch.found,
        )

    def _obey(self, message: ToEngine) -> None:
        match message:
            case Submit():
                self._submit(message)
            case Abort(id=sequence_id):
                if self._scheduler.abort(sequence_id):
                    self._link.send(self._frame([Emission(sequence_id, -1, FinishReason.ABORT)]))
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
        card = self._runner.card
        if error := refuse(message, longest=self._longest, vocabulary=card.vocab_size):
            self._link.send(self._frame([Emission(message.id, -1, FinishReason.ERROR, error)]))
            return
        seed, ends = message.sampling.seed, card.eos_ids if message.sampling.ignore_eos else []
        sequence = Sequence(
            id=message.id,
            prompt=message.prompt,
            max_tokens=min(message.max_tokens, self._longest - len(message.prompt)),
            sampling=message.sampling,
            stop_ids=frozenset(message.stop_ids).difference(ends),
            priority=message.priority,
            arrived=time.monotonic(),
            seed=secrets.randbits(63) if seed is None else seed,
        )
        self._scheduler.add(sequence)


def told(error: Exception) -> str:
    """In one line, for readers of streams."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
