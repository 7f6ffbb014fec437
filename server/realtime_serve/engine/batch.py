"""What one step computes: rows of tokens, each of one sequence. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

from realtime_serve.engine.messages import Sampling, TokenLogprob
from realtime_serve.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens [start, start + len(tokens)) of a sequence, whose earlier ones are in its pages."""

    sequence: Sequence
    start: int
    tokens: list[int]
    samples: bool
    """The last token's logits give the next token; False for a prompt's chunk that is not its last."""

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)

    @property
    def sampling(self) -> Sampling:
        return self.sequence.sampling


@dataclass(frozen=True, slots=True)
class Batch:
    rows: list[Row]
    decoding: int
    """So many rows stand first that go on with one token each; the others are chunks of prompts."""
    admitted: list[int] = field(default_factory=list)
    """Sequences that wait no longer."""
    clean: list[int] = field(default_factory=list)
    """Pages to wipe before the step: what a sequence that went wrong has left may be NaN, which would harm the next one."""
    asked: int = 0
    """Prompt tokens of those that are admitted for the first time."""
    found: int = 0
    """So many of these are in the pages of others."""


@dataclass(frozen=True, slots=True)
class Result:
    """A sampling row's next token, or why there is none."""

    token: int = -1
    error: str = ""
    logprob: TokenLogprob | None = None


@dataclass(frozen=True, slots=True)
class Emission:
    """What a step says of one sequence to its reader."""

    id: int
    token: int
    finish: int
    """0, or a FinishReason."""
    error: str = ""
    logprob: TokenLogprob | None = None
