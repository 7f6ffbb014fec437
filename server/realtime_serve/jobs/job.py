"""One job while this server runs it: its events in order, its card, its end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from realtime_serve.errors import JobCancelled, RequestError
from realtime_serve.generation.generation import Generation
from realtime_serve.generation.request import GenerationRequest
from realtime_serve.jobs.card import Card, State, Timings, new_job_id
from realtime_serve.jobs.event import STARTED, Event
from realtime_serve.jobs.store import Claim, Orphan, Store

log = logging.getLogger("realtime_serve.jobs")


class Job:
    """Writes the events of one job. Only its own task calls it, but for `cancel`."""

    def __init__(
        self, request: GenerationRequest, store: Store, *, now: float, orphan: Orphan | None = None
    ) -> None:
        self.card = (
            orphan.card
            if orphan is not None
            else Card(
                job_id=new_job_id(now),
                model=request.model,
                kind=request.kind,
                request_id=request.id,
                metrics=Timings(t_start=now),
            )
        )
        self.told = "" if orphan is None else orphan.text
        """What its readers have of its text from the server that ran it before."""
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._store = store
        self._begun = now
        self._inherited = orphan is not None
        self._next = 1 if orphan is None else orphan.last + 1
        self._generation: Generation | None = None
        self._cancelled: JobCancelled | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return self.card.job_id

    def cancel(self, error: JobCancelled) -> None:
        """End it for this reason, in whatever phase it is."""
        self._cancelled = self._cancelled or error
        if self._generation is not None:
            self._generation.cut(self._cancelled)

    async def accept(self, generation: Generation, claim: Claim | None, request: bytes) -> None:
        """The engine has its sequence: from now on the job is kept and will have a last event."""
        self._generation = generation
        self._update(version=generation.version, metrics=self._timings())
        if not self._inherited:
            await self._store.open(self.card, claim, request)
        if not self.accepted.done():
            self.accepted.set_result(None)
        if self._cancelled is not None:
            generation.cut(self._cancelled)

    async def start(self) -> None:
        """Write the first event, if it is not there.

        Raises:
            RequestError: as `tell`.

        """
        if self._next > 1:
            return
        started = {"job_id": self.id, "model": self.card.model, "version": self.card.version}
        await self.tell(STARTED, msgspec.json.encode(started))

    async def tell(self, name: str, data: bytes) -> None:
        """Add an event; wait while readers lag too far.

        Raises:
            JobCancelled: the job shall end.
            StoreUnavailable: the event could not be kept.

        """
        if self.card.state is State.QUEUED and self._generation is not None and self._generation.has_begun:
            self._update(state=State.RUNNING, metrics=self._timings())
        try:
            await self._store.append(self.card, Event(self._next, name, data))
        except JobCancelled:
            self._next += 1  # it is kept; the order came with the answer
            raise
        self._next += 1

    async def conclude(self, error: RequestError | None) -> None:
        """Write the last event, and the line of log."""
        generation = self._generation
        outcome = None if generation is None else generation.outcome
        error = error or (None if generation is None else generation.error)
        if error is None and outcome is None:
            error = RequestError("the job ended without an outcome")
        if error is not None:
            state = State.CANCELLED if isinstance(error, JobCancelled) else State.ERROR
            self._update(state=state, reason=error.code, message=str(error), metrics=self._timings())
        elif outcome is not None:
            self._update(
                state=State.COMPLETE,
                reason=outcome.finish_reason,
                usage=outcome.usage,
                metrics=self._timings(),
            )
        self.ended.set()
        log.info("job", extra={"fields": self._fields()})
        event = Event(self._next, f"job_{self.card.state}", msgspec.json.encode(self.card.public()))
        await self._store.close(self.card, event)

    def _timings(self) -> Timings:
        known = self.card.metrics
        generation = self._generation
        if generation is None:
            return known
        times = generation.times
        first = known.t_first
        if first is None and times.first is not None:
            first = round(self._begun + times.first, 6)
        return Timings(
            t_start=known.t_start,
            t_first=first,
            t_last=None if times.last is None else round(self._begun + times.last, 6),
            ttft_seconds=None if first is None else round(first - known.t_start, 6),
            tokens_per_second=times.tokens_per_second,
            queue_seconds=None if times.queued is None else round(times.queued, 6),
            queue_depth=generation.queue_depth,
        )

    def _update(self, **changes: Any) -> None:
        self.card = msgspec.structs.replace(self.card, **changes)

    def _fields(self) -> dict[str, Any]:
        fields = self.card.public()
        metrics: Timings = fields.pop("metrics")
        del fields["stream_url"]
        fields["error"] = fields.pop("message")  # a line's own message is "job"
        return {**fields, "events": self._next, **msgspec.structs.asdict(metrics)}
