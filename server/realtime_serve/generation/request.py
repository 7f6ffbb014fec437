"""What one generation is asked for, and what comes out of it."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from realtime_serve.callers.caller import ANYONE, Caller
from realtime_serve.engine.messages import Sampling


class Priority(enum.IntEnum):
    """The engine's classes; a lower number goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Origin(NamedTuple):
    """Where a request comes from, and where it wants to go."""

    request_id: str
    caller: Caller = ANYONE
    version: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Chat messages, for the model's chat template."""

    messages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A request whose every field was checked, except against the model's length and vocabulary."""

    id: str
    kind: Literal["chat", "completion"]
    model: str
    version: str = ""  # that the client addresses; empty: whichever gets new work
    prompt: str | list[int] | Conversation
    sampling: Sampling
    max_tokens: int | None  # None: as many as fit
    max_tokens_field: str = "max_tokens"  # what the client called it, for error messages
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    caller: Caller = ANYONE

    @property
    def priority(self) -> Priority:
        """Its caller's."""
        return Priority[self.caller.priority.upper()]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of text, never empty."""

    text: str
    completion_tokens: int  # so far


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read and made. A token that ended the text counts."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a whole generation ended."""

    finish_reason: Literal["stop", "length"]
    usage: Usage


Deliver = Callable[[Delta], Awaitable[None]]
