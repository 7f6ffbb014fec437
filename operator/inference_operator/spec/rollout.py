"""spec.rollout: how to get from one revision to the next. Read at every step, never a new revision."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from inference_operator.spec.base import Seconds, Section

_Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]


class Expect(Section, frozen=True, kw_only=True):
    contains: Annotated[str, Meta(min_length=1, max_length=4096)] = ""
    equals: Annotated[str, Meta(min_length=1, max_length=4096)] = ""
    matches: Annotated[str, Meta(min_length=1, max_length=1024)] = ""
    """A regular expression."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.contains, self.equals, self.matches))) != 1:
            raise ValueError("give exactly one of contains, equals and matches")


class GoldenPrompt(Section, frozen=True, kw_only=True):
    prompt: Annotated[str, Meta(min_length=1, max_length=8192)]
    max_tokens: Annotated[int, Meta(ge=1, le=4096)] = 16
    expect: Expect | None = None
    """None: any answer will do."""
    max_time_to_first_token_ms: _Milliseconds | None = None


class Verification(Section, frozen=True, kw_only=True):
    warmup_requests: Annotated[int, Meta(ge=0, le=1000)] = 0
    prompts: Annotated[tuple[GoldenPrompt, ...], Meta(max_length=32)] = ()


class Analysis(Section, frozen=True, kw_only=True):
    seconds: Seconds
    max_error_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_time_to_first_token_p95_ms: _Milliseconds | None = None

    def __post_init__(self) -> None:
        if self.max_error_rate is None and self.max_time_to_first_token_p95_ms is None:
            raise ValueError("give maxErrorRate, maxTimeToFirstTokenP95Ms, or both")


class Rollout(Section, frozen=True, kw_only=True):
    strategy: Literal["Auto", "BlueGreen", "InPlace", "Recreate"] = "Auto"
    preflight: Literal["Enforce", "Warn", "Skip"] = "Enforce"
    """What a lack of room for a second fleet does before it begins: holds it, is told, or is not looked for."""
    auto_promotion: bool = True
    progress_deadline_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 900
    """From the birth of a fleet until it fails."""
    verification: Verification | None = None
    drain_timeout_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 600
    """From the drain order until streams are cut."""
    keep_previous_seconds: Annotated[int, Meta(ge=0, le=604_800)] | None = None
    analysis: Analysis | None = None
    history_limit: Annotated[int, Meta(ge=0, le=20)] = 3
    """Fleets at zero that are kept for a rollback."""
