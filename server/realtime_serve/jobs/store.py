"""Where jobs and their events are kept: what a store must do. `memory` and `redis` do it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from realtime_serve.jobs.card import Card
from realtime_serve.jobs.event import Event, Page

FIRST_READER_SECONDS = 30.0
"""A job's first reader has at least so long to come, however short the resume window is."""
EVENTS_A_JOB = 8192
"""The newest events of a job that are kept."""


class Claim(NamedTuple):
    """An idempotency key as its client sent it, with a digest of the body that came with it."""

    key: str
    body: str


class Order(enum.Enum):
    """Why a running job shall end."""

    CANCEL = "cancelled by the client"
    FORSAKEN = "nobody read it"


class Orphan(NamedTuple):
    """A running job whose server has died, and which is this server's own from now on."""

    card: Card
    request: bytes  # as it was given to `open`
    last: int  # the number of its last event
    text: str  # of all its events


class Heir(Protocol):
    """Goes on with jobs whose servers have died."""

    def not_yet(self, card: Card) -> bool:
        """Whether it may be able to in a moment: the job's readers wait for that."""

    def take_over(self, orphan: Orphan) -> bool:
        """Go on with a job, in a task of its own; False: it cannot."""


class Reader(Protocol):
    """Reads one job's events from where it stopped; while it is open the job has a reader."""

    async def read(self, *, wait: bool) -> Page:
        """Return the events that follow; with `wait` at least one of them, unless the job is over.

        Raises:
            JobGone: the events that follow are no longer kept.

        """


class Store(Protocol):
    """Keeps jobs while they run and for the resume window after their end. Everything in it is bounded.

    Each method may raise StoreUnavailable; those with a job's id raise JobGone when the job is not kept.
    """

    async def claim(self, claim: Claim, job_id: str) -> str | None:
        """Take the key for this job; return the job that has it already.

        Raises:
            IdempotencyMismatch: that job was asked for by another body.
            IdempotencyInFlight: that job is not accepted yet.

        """

    async def release(self, claim: Claim) -> None:
        """The job was not accepted: the key is free again."""

    def inherit(self, heir: Heir) -> None:
        """Give this server's readers' jobs to the heir, when the servers that ran them have died."""

    async def open(self, card: Card, claim: Claim | None, request: bytes = b"") -> None:
        """The job is accepted: keep it, its key, and what another server needs to go on with it; empty: none can."""

    async def append(self, card: Card, event: Event) -> None:
        """Add the job's next event, and what is known of the job now; waits for attached readers that lag.

        Raises:
            JobCancelled: the event is added, and the job shall end.

        """

    async def close(self, card: Card, event: Event) -> None:
        """Add the job's last event; return when the readers that are attached here have it."""

    async def card(self, job_id: str) -> Card:
        """Return what is known of the job."""

    async def order_cancel(self, job_id: str) -> None:
        """Have it ended by the server that runs it."""

    async def orders(self, job_ids: Iterable[str]) -> Mapping[str, Order]:
        """Return which of these running jobs shall end; called about twice a second."""

    def reader(self, job_id: str, after: int) -> AbstractAsyncContextManager[Reader]:
        """Read the events whose ids are greater."""

    async def stop(self) -> None:
        """Let go of connections."""
