"""The settings of callers: their limits, and those that have a key of their own. Pure data."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Amount = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
PriorityName = Literal["high", "normal", "low"]


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Token buckets of each caller, over all pods together. What is left out is not limited."""

    requests_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None  # prompts and answers together
    burst: Amount | None = None  # requests that may come at once; left out: a minute's worth


class RateLimit(Rate, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Of every caller that has none of its own."""

    key: Annotated[str, Meta(pattern="^(apiKey|address|header:[A-Za-z0-9-]{1,128})$")] = "apiKey"


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A caller with keys of its own, of which only SHA-256 digests are known here."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    key_sha256: Annotated[tuple[Digest, ...], Meta(max_length=8)] = msgspec.field(
        default=(), name="keySha256"
    )
    priority: PriorityName = "normal"
    rate_limit: Rate | None = None  # in place of the common one
