"""A span that is over, in words that know nothing of who keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Attribute = str | int | float | Sequence[str]


class Trace(NamedTuple):
    """The trace that a request is part of, as the W3C's headers `traceparent` and `tracestate` say it; empty for none."""

    parent: str = ""
    state: str = ""


UNTRACED = Trace()


class Event(NamedTuple):
    """Something that happened so many seconds after the span began."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a request was and what became of it; never its text."""

    name: str
    trace: Trace
    begun: float  # seconds since the epoch
    seconds: float
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    error: str = ""  # its code, where the request failed


class Tracer(Protocol):
    """Where spans go."""

    def tell(self, span: Span) -> str:
        """Take a span, without waiting for anything; return the id of its trace, 32 hex digits."""

    async def stop(self) -> None:
        """Send what is left, within a few seconds."""
