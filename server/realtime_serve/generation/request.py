"""What one generation is asked for, and what comes out of it."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from realtime_serve.callers.caller import ANYONE, Caller
from realtime_serve.engine.messages import Sampling
from realtime_serve.text.pieces import Piece
from realtime_serve.tracing.span import UNTRACED, Trace


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
    trace: Trace = UNTRACED


@dataclass(frozen=True, slots=True)
class Conversation:
    """Chat messages, for the model's chat template, and the tools that it shall know of."""

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()


Prompt = str | list[int] | Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A request whose every field was checked, except against the model's length and vocabulary."""

    id: str
    kind: Literal["chat", "completion"]
    model: str
    version: str = ""  # that the client addresses; empty: whichever gets new work
    prompts: tuple[Prompt, ...]  # at least one; each is answered n times
    sampling: Sampling
    max_tokens: int | None  # None: as many as fit
    max_tokens_field: str = "max_tokens"  # what the client called it, for error messages
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    schema: bytes = b""  # JSON schema that each answer follows; empty: none
    schema_field: str = "response_format"  # where the client put it, for error messages
    n: int = 1
    echo: bool = False  # the prompt comes before its answer
    caller: Caller = ANYONE
    trace: Trace = UNTRACED

    @property
    def priority(self) -> Priority:
        """Its caller's."""
        return Priority[self.caller.priority.upper()]


class Chance(NamedTuple):
    """A token that could be next."""

    piece: Piece
    logprob: float


class TokenChances(NamedTuple):
    """The token that was chosen, and the likeliest ones, the likeliest first."""

    chosen: Chance
    top: tuple[Chance, ...]


class Delta(msgspec.Struct, frozen=True):
    """The next piece of a choice's text; empty only to bring chances."""

    text: str
    completion_tokens: int  # of this choice, so far
    index: int = 0
    chances: tuple[TokenChances, ...] = ()  # of the tokens that came since the piece before, where asked for
    tokens: tuple[int, ...] = ()  # that came since the piece before


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read and made. A token that ended the text counts."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a whole generation ended."""

    finish_reasons: tuple[Literal["stop", "length"], ...]  # by choice
    usage: Usage

    @property
    def finish_reason(self) -> Literal["stop", "length"]:
        """Of the first choice."""
        return self.finish_reasons[0]


Deliver = Callable[[Delta], Awaitable[None]]
