"""Jobs in this process's memory: a ring of events a job. They are gone with the process."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from realtime_serve.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    JobGone,
)
from realtime_serve.jobs.card import Card
from realtime_serve.jobs.event import Event, Page
from realtime_serve.jobs.store import EVENTS_A_JOB, FIRST_READER_SECONDS, Claim, Heir, Order

BYTES_A_JOB = 4 * 1024 * 1024
ENDED_JOBS = 1024  # kept for readers that may come back, unless their window ends before
BYTES_OF_ENDED_JOBS = 256 * 1024 * 1024
EVENT_OVERHEAD = 200  # bytes of an event besides its data


class MemoryReader:
    """See `store.Reader`."""

    def __init__(self, ring: Ring, after: int) -> None:
        self.news = asyncio.Event()
        self.position = after
        self.ring = ring

    async def read(self, *, wait: bool) -> Page:
        """See `store.Reader`."""
        page = self.ring.after(self.position)
        while wait and not page.events and not page.over:
            self.news.clear()
            await self.news.wait()
            page = self.ring.after(self.position)
        if page.events:
            self.position = page.events[-1].id
            self.ring.room.set()
        return page


class Ring:
    """The newest events of one job, and who reads them."""

    def __init__(self, card: Card, claim: Claim | None, *, capacity: int, now: float) -> None:
        self.card = card
        self.claim = claim
        self.readers: set[MemoryReader] = set()
        self.left = now  # when the last reader left, or the job began
        self.was_read = False
        self.bytes = 0
        self.room = asyncio.Event()
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._next = 1

    @property
    def full(self) -> bool:
        """Whether an event must go before another can come."""
        return len(self._events) >= self._capacity or self.bytes >= BYTES_A_JOB

    @property
    def needed(self) -> bool:
        """Whether an attached reader has not had the oldest event."""
        return any(reader.position < self._events[0].id for reader in self.readers)

    def after(self, position: int) -> Page:
        """Return the events whose ids are greater."""
        if position >= self._next:
            raise InvalidRequest("Last-Event-ID", f"the last event of this job is {self._next - 1}")
        kept = self._next - len(self._events)
        if position + 1 < kept:
            raise JobGone(
                f"event {position + 1} is no longer kept: the oldest one is {kept}; read the job from its start elsewhere"
            )
        behind = self._next - 1 - position
        events = (
            list(self._events)
            if behind == len(self._events)
            else [self._events[index] for index in range(-behind, 0)]
        )
        return Page(events, self.card.over)

    def push(self, card: Card, event: Event) -> None:
        """Add an event; the oldest one goes when there is no room. The last event always has room: nobody loses one to it."""
        if self.full and not event.last:
            self.bytes -= len(self._events.popleft().data) + EVENT_OVERHEAD
        self._events.append(event)
        self.bytes += len(event.data) + EVENT_OVERHEAD
        self._next = event.id + 1
        self.card = card
        for reader in self.readers:
            reader.news.set()

    def patience_ends(self, window: float) -> float:
        """When it is too late for a reader to come (back)."""
        if self.readers:
            return math.inf
        return self.left + (window if self.was_read else max(window, FIRST_READER_SECONDS))


class MemoryStore:
    """See `store.Store`."""

    def __init__(
        self,
        window: Callable[[], float],
        *,
        events_a_job: int = EVENTS_A_JOB,
        ended_jobs: int = ENDED_JOBS,
        bytes_of_ended_jobs: int = BYTES_OF_ENDED_JOBS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window = window
        self._events_a_job = events_a_job
        self._ended_jobs = ended_jobs
        self._bytes_of_ended_jobs = bytes_of_ended_jobs
        self._clock = clock
        self._rings: dict[str, Ring] = {}
        self._ended: dict[str, Ring] = {}  # oldest end first
        self._claims: dict[str, tuple[Claim, str]] = {}

    async def claim(self, claim: Claim, job_id: str) -> str | None:
        """See `store.Store`."""
        if (held := self._claims.get(claim.key)) is None:
            self._claims[claim.key] = claim, job_id
            return None
        first, holder = held
        if first.body != claim.body:
            raise IdempotencyMismatch
        if holder not in self._rings:
            raise IdempotencyInFlight
        return holder

    async def release(self, claim: Claim) -> None:
        """See `store.Store`."""
        self._claims.pop(claim.key, None)

    def inherit(self, heir: Heir) -> None:
        """See `store.Store`: jobs in memory die with their server."""

    async def open(self, card: Card, claim: Claim | None, request: bytes = b"") -> None:
        """See `store.Store`."""
        del request
        self.add(card, claim)

    def add(self, card: Card, claim: Claim | None = None) -> None:
        """Keep a job from now on."""
        self._evict()
        self._rings[card.job_id] = Ring(card, claim, capacity=self._events_a_job, now=self._clock())

    def has(self, job_id: str) -> bool:
        """Whether it is kept."""
        return job_id in self._rings

    async def append(self, card: Card, event: Event) -> None:
        """See `store.Store`."""
        ring = self._find(card.job_id)
        while ring.full and ring.needed:
            ring.room.clear()
            await ring.room.wait()
        ring.push(card, event)

    async def close(self, card: Card, event: Event) -> None:
        """See `store.Store`."""
        ring = self.end(card, event)
        while any(reader.position < event.id for reader in ring.readers):
            ring.room.clear()
            await ring.room.wait()
        self._evict()

    def end(self, card: Card, event: Event) -> Ring:
        """Add the last event, and wait for nobody."""
        ring = self._find(card.job_id)
        ring.push(card, event)
        if not ring.readers:
            ring.left = self._clock()  # the window for its result begins now
        self._ended[card.job_id] = ring
        return ring

    async def card(self, job_id: str) -> Card:
        """See `store.Store`. Who asks for a job is there, as a reader is."""
        ring = self._find(job_id)
        ring.left, ring.was_read = self._clock(), True
        return ring.card

    async def order_cancel(self, job_id: str) -> None:
        """See `store.Store`: what is not run here is not kept here."""
        self._find(job_id)

    async def orders(self, job_ids: Iterable[str]) -> Mapping[str, Order]:
        """See `store.Store`."""
        self._evict()
        return {
            job_id: Order.FORSAKEN
            for job_id in job_ids
            if job_id in self._rings and self._is_forsaken(self._rings[job_id])
        }

    @asynccontextmanager
    async def reader(self, job_id: str, after: int) -> AsyncIterator[MemoryReader]:
        """See `store.Store`."""
        reader = self.attach(job_id, after)
        try:
            yield reader
        finally:
            self.detach(reader)

    def attach(self, job_id: str, after: int) -> MemoryReader:
        """Let a reader in."""
        reader = MemoryReader(ring := self._find(job_id), after)
        ring.readers.add(reader)
        return reader

    def detach(self, reader: MemoryReader) -> None:
        """Let it go; again is no change."""
        ring = reader.ring
        if reader in ring.readers:
            ring.readers.discard(reader)
            ring.left, ring.was_read = self._clock(), True
            ring.room.set()

    async def stop(self) -> None:
        """See `store.Store`."""

    def _find(self, job_id: str) -> Ring:
        if (ring := self._rings.get(job_id)) is None:
            raise JobGone(
                f"{job_id} is not kept here: its window has ended, this server was started after it, or another has it"
            )
        return ring

    def _is_forsaken(self, ring: Ring) -> bool:
        return ring.patience_ends(self._window()) <= self._clock()

    def _evict(self) -> None:
        """Forget ended jobs: those whose window is over, then the oldest, until the rest is within bounds."""
        for job_id in [job_id for job_id, ring in self._ended.items() if self._is_forsaken(ring)]:
            self._forget(job_id)
        size = sum(ring.bytes for ring in self._ended.values())
        for job_id, ring in list(self._ended.items()):
            if len(self._ended) <= self._ended_jobs and size <= self._bytes_of_ended_jobs:
                return
            if not ring.readers:
                size -= ring.bytes
                self._forget(job_id)

    def _forget(self, job_id: str) -> None:
        ring = self._rings.pop(job_id)
        del self._ended[job_id]
        if ring.claim is not None:
            self._claims.pop(ring.claim.key, None)
