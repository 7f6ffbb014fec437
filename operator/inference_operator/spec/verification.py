"""spec.rollout.verification: what a new fleet must answer before any traffic moves."""

from __future__ import annotations

from typing import Annotated, Any

import re2
from msgspec import UNSET, Meta, UnsetType

from inference_operator.spec.base import Section

Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]
PROMPTS = 32
"""At most so many golden prompts."""


class Expect(Section, frozen=True, kw_only=True):
    contains: Annotated[str, Meta(min_length=1, max_length=4096)] = ""
    equals: Annotated[str, Meta(min_length=1, max_length=4096)] = ""
    matches: Annotated[str, Meta(min_length=1, max_length=1024)] = ""
    """A regular expression in RE2's syntax, whose search takes linear time whatever the model answers."""
    json: dict[str, Any] | UnsetType = UNSET
    """What the answer, read as JSON, holds at least."""

    def __post_init__(self) -> None:
        given = [bool(self.contains), bool(self.equals), bool(self.matches), self.json is not UNSET]
        if sum(given) != 1:
            raise ValueError("give exactly one of contains, equals, matches and json")
        if self.matches:
            _check_pattern(self.matches)


class GoldenPrompt(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=40, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")] = ""
    """Empty: `prompt-N`, counted from 1."""
    prompt: Annotated[str, Meta(min_length=1, max_length=8192)]
    max_tokens: Annotated[int, Meta(ge=1, le=4096)] = 16
    expect: Expect | None = None
    """None: any answer will do."""
    max_time_to_first_token_ms: Milliseconds | None = None
    min_tokens_per_second: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None


class ConfigMapKey(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=253)]
    key: Annotated[str, Meta(min_length=1, max_length=253)]


class PromptsFrom(Section, frozen=True, kw_only=True):
    config_map_key_ref: ConfigMapKey


class Verification(Section, frozen=True, kw_only=True):
    warmup_requests: Annotated[int, Meta(ge=0, le=1000)] = 0
    """To every pod."""
    prompts: Annotated[tuple[GoldenPrompt, ...], Meta(max_length=PROMPTS)] = ()
    prompts_from: PromptsFrom | None = None
    """More prompts: a YAML list of them."""

    def __post_init__(self) -> None:
        check_names(self.prompts)


def check_names(prompts: tuple[GoldenPrompt, ...]) -> None:
    """Raise ValueError when two prompts have the same name."""
    names = [prompt.name for prompt in prompts if prompt.name]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"prompts named {', '.join(twice)} appear more than once")


def _check_pattern(pattern: str) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"matches is no regular expression that RE2 takes: {_text(error)}") from error


def _text(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
