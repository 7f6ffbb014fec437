"""One event of a job, numbered so that a reader can say where it stopped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

STARTED = "job_started"
TOKEN = "token"  # noqa: S105  the name of an event
LAST = frozenset({"job_complete", "job_error", "job_cancelled"})
"""After one of these nothing follows; every job has exactly one of them."""


class Event(NamedTuple):
    """Ids count 1, 2, 3, … within a job, without a gap."""

    id: int
    name: str  # empty: an event without a name, as OpenAI's streams have them
    data: bytes  # one line

    @property
    def last(self) -> bool:
        """Whether it ends the job."""
        return self.name in LAST


class Page(NamedTuple):
    """What a reader gets at once."""

    events: Sequence[Event]
    over: bool  # nothing will follow these
