"""What all sections of the spec share: camelCase on the wire, frozen, unknown fields refused."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(max_length=253)]
"""The name of another Kubernetes object; empty means none."""
Text = Annotated[str, Meta(max_length=253)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]


class Section(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of the spec."""
