"""All jobs that this server runs: begun once, ended by their readers' absence, a client's word, or themselves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import msgspec

from realtime_serve.errors import (
    GenerationFailed,
    JobCancelled,
    JobForsaken,
    RequestError,
    ServerLost,
    StoreUnavailable,
)
from realtime_serve.generation.generation import Generation
from realtime_serve.generation.request import GenerationRequest
from realtime_serve.generation.serving import Serving
from realtime_serve.jobs.card import Card
from realtime_serve.jobs.job import Job
from realtime_serve.jobs.store import Claim, Order, Orphan, Reader, Store
from realtime_serve.jobs.telling import seeded, tell_text

log = logging.getLogger("realtime_serve.jobs")

Speak = Callable[[Job, Generation], Awaitable[None]]
"""Runs the generation, and tells the job what its readers shall read."""

LOOK_SECONDS = 0.5  # how often it is looked whether a job has been cancelled elsewhere, or has no reader


class Jobs:
    """Runs each job in a task of its own, by the same path as any request."""

    def __init__(self, serving: Serving, store: Store) -> None:
        self._serving = serving
        self._store = store
        store.inherit(self)
        self._running: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        serving.metrics.watch("jobs_running", "Jobs that this server runs", lambda: len(self._running))
        self._ends = serving.metrics.count("jobs", "Jobs that ended, by how", ("state",))

    async def begin(self, request: GenerationRequest, speak: Speak, claim: Claim | None = None) -> Card:
        """Begin a job, or find the one that has this claim; return its card once it is accepted.

        Raises:
            RequestError: it is not accepted; the claim is free again.

        """
        request = seeded(request)
        job = Job(request, self._store, now=time.time())
        if claim is not None and (holder := await self._store.claim(claim, job.id)) is not None:
            return await self._store.card(holder)
        task = self._start(job, self._run(job, request, speak, claim))
        try:
            await asyncio.shield(job.accepted)
        except asyncio.CancelledError:  # its client left before it heard of the job
            if not job.accepted.done():
                task.cancel()
            raise
        return job.card

    def reader(self, job_id: str, after: int) -> AbstractAsyncContextManager[Reader]:
        """Read a job's events whose ids are greater."""
        return self._store.reader(job_id, after)

    async def card(self, job_id: str) -> Card:
        """Return what is known of a job."""
        return await self._store.card(job_id)

    async def cancel(self, job_id: str) -> Card:
        """End a job, wherever it runs; one that has ended stays as it is. Return it as it is then."""
        if (job := self._running.get(job_id)) is not None:
            job.cancel(JobCancelled("cancelled by the client"))
            await job.ended.wait()
            return job.card
        card = await self._store.card(job_id)
        if not card.over:
            await self._store.order_cancel(job_id)
        return card

    async def run(self) -> None:
        """Until cancelled: end the jobs that nobody reads, and those that are cancelled through other servers."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                orders = await self._store.orders(tuple(self._running))
            except StoreUnavailable as error:
                log.warning("the store of jobs cannot be asked: %s", error)
                continue
            for job_id, order in orders.items():
                if (job := self._running.get(job_id)) is not None:
                    job.cancel(
                        JobForsaken("nobody read it for the resume window")
                        if order is Order.FORSAKEN
                        else JobCancelled(order.value)
                    )

    async def stop(self) -> None:
        """End what runs, at once."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.stop()

    def _start(self, job: Job, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=job.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def not_yet(self, card: Card) -> bool:
        """See `store.Heir`: not while the model is being loaded."""
        try:
            held = self._serving.models.find(card.model).versions.get(card.version)
        except RequestError:
            return False  # it is not here, and will not be
        return held is not None and held.is_loading

    def take_over(self, orphan: Orphan) -> bool:
        """See `store.Heir`."""
        try:
            request = msgspec.json.decode(orphan.request, type=GenerationRequest)
        except msgspec.DecodeError as error:  # another release wrote it
            log.warning("a job cannot be read: %s", error, extra={"fields": {"job_id": orphan.card.job_id}})
            return False
        request = replace(request, version=orphan.card.version)
        job = Job(request, self._store, now=time.time(), orphan=orphan)
        log.info("taking a job over", extra={"fields": {"job_id": job.id, "events": orphan.last}})
        self._start(job, self._go_on(job, request))
        return True

    async def _go_on(self, job: Job, request: GenerationRequest) -> None:
        """Run it from its start; what its readers have is not told again."""
        await self._run(job, request, tell_text, None)
        if (refusal := job.accepted.exception()) is not None:
            await self._finish(job, ServerLost(f"the server that ran this job is gone; here: {refusal}"))

    async def _run(self, job: Job, request: GenerationRequest, speak: Speak, claim: Claim | None) -> None:
        try:
            async with self._serving.accept(request) as generation:
                await job.accept(generation, claim, _inheritance(request, speak))
                self._running[job.id] = job
                await self._finish(job, await _outcome(speak, job, generation))
        except (RequestError, asyncio.CancelledError) as error:
            await self._refuse(job, claim, error)
        except Exception as error:
            log.exception("a bug in a job", extra={"fields": {"job_id": job.id}})
            await self._refuse(job, claim, error)
        finally:
            job.ended.set()
            self._running.pop(job.id, None)

    async def _finish(self, job: Job, error: RequestError | None) -> None:
        try:
            await job.conclude(error)
        except StoreUnavailable as lost:
            log.warning("a job's end could not be kept: %s", lost, extra={"fields": {"job_id": job.id}})
        finally:
            self._ends.labels(job.card.state).inc()

    async def _refuse(self, job: Job, claim: Claim | None, error: BaseException) -> None:
        """The job did not begin (or this process ends): whoever waits for it is told, and its key is free."""
        if job.accepted.done():
            return
        if claim is not None:
            await self._store.release(claim)
        job.accepted.set_exception(
            error if isinstance(error, RequestError) else GenerationFailed("the job could not begin")
        )


def _inheritance(request: GenerationRequest, speak: Speak) -> bytes:
    """What another server needs to go on with the job, if it can."""
    one = request.n == 1 and len(request.prompts) == 1
    return msgspec.json.encode(request) if one and speak is tell_text else b""


async def _outcome(speak: Speak, job: Job, generation: Generation) -> RequestError | None:
    """How it ended; None: as the generation says. A bug here must not leave readers without a last event."""
    try:
        await job.start()
        await speak(job, generation)
    except RequestError as error:
        return error
    except Exception:
        log.exception("a bug in a job", extra={"fields": {"job_id": job.id}})
        return RequestError("internal error; see the server's log")
    return None
