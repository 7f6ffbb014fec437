"""spec.rollout: how to get from one revision to the next. Read at every step, never a new revision."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from inference_operator.spec.base import Seconds, Section
from inference_operator.spec.verification import Milliseconds, Verification


class Analysis(Section, frozen=True, kw_only=True):
    """What to hold a promoted fleet against while its predecessor is still warm."""

    seconds: Seconds
    min_requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    """Fewer answers say nothing."""
    max_error_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_time_to_first_token_p95_ms: Milliseconds | None = None

    def __post_init__(self) -> None:
        if self.max_error_rate is None and self.max_time_to_first_token_p95_ms is None:
            raise ValueError("give maxErrorRate, maxTimeToFirstTokenP95Ms, or both")


class Rollout(Section, frozen=True, kw_only=True):
    strategy: Literal["Auto", "BlueGreen", "InPlace", "Recreate"] = "Auto"
    preflight: Literal["Enforce", "Warn", "Skip"] = "Enforce"
    """What a lack of room for a second fleet does before it begins: holds it, is told, or is not looked for."""
    auto_promotion: bool = True
    auto_promotion_seconds: Annotated[int, Meta(ge=1, le=604_800)] | None = None
    """With auto_promotion False: from the moment that only the approval is missing."""
    progress_deadline_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 900
    """From the birth of a fleet until it fails."""
    verification: Verification | None = None
    drain_timeout_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 600
    """From the drain order until streams are cut."""
    keep_previous_seconds: Annotated[int, Meta(ge=0, le=604_800)] | None = None
    """From the drain order until the predecessor is stopped, though it has no stream."""
    analysis: Analysis | None = None
    history_limit: Annotated[int, Meta(ge=0, le=20)] = 3
    """Fleets at zero that are kept for a rollback."""

    def __post_init__(self) -> None:
        if self.auto_promotion and self.auto_promotion_seconds is not None:
            raise ValueError("autoPromotionSeconds needs autoPromotion: false")
