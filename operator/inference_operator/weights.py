"""The sets of weights that the pods of one fleet hold, as marks on its Deployment tell. Pure.

A fleet is born with one version. A swap in place loads another beside it (incoming), moves new work to it, and lets
the first end its streams (outgoing); the pods stay the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from inference_operator import names
from inference_operator.spec import Spec, mold


class Weights(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One version as the settings list it; `uri` as in the spec."""

    version: str
    uri: str
    revision: str = "main"
    dtype: str = "auto"
    max_model_length: int = 2048
    sha256: str = ""


class Incoming(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Is being loaded, and gets work when every pod says that it is ready."""

    weights: Weights
    revision: str
    """The operator's, of the spec that asks for it."""
    started_at: str
    """RFC 3339."""
    why: str = ""
    """Why in place."""
    alone_since: str = ""
    """When its predecessor was told to drain and go first, because memory holds only one; else empty."""
    cleared: bool = False
    """Its predecessor has no stream left, and it may load alone."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Takes no new work; leaves when its streams have ended."""

    weights: Weights
    revision: str
    drain_started: str = ""
    """When every pod was seen to send new work to its successor; empty until then."""
    drained_at: str = ""
    """When its streams were first seen at zero."""


Mark = TypeVar("Mark", Weights, Incoming, Outgoing)


def weights_of(spec: Spec) -> Weights:
    model = spec.model
    return Weights(
        version=model.version,
        uri=model.uri,
        revision=model.revision,
        dtype=model.dtype,
        max_model_length=model.max_model_length,
        sha256=getattr(model, "sha256", ""),
    )


def written(mark: Weights | Incoming | Outgoing) -> str:
    """The mark as an annotation's value."""
    return msgspec.json.encode(mark).decode()


def read_mark(annotations: Mapping[str, str], name: str, kind: type[Mark]) -> Mark | None:
    """None where it is not there; what a hand garbled counts as not there."""
    try:
        return msgspec.json.decode(annotations[name], type=kind)
    except (KeyError, msgspec.MsgspecError):
        return None


def birth_marks(spec: Spec) -> dict[str, str]:
    """What a new fleet says of itself, so that a version can be loaded into it one day."""
    return {names.WEIGHTS: written(weights_of(spec)), names.MOLD: mold(spec)}
