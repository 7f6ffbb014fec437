"""The revision: a hash of every rolling field. Two specs with the same revision run the same pods."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from inference_operator import names
from inference_operator.spec.base import Section

if TYPE_CHECKING:
    from inference_operator.spec.parse import Spec

ROLLING = ("model", "gpu", "server")
"""Sections."""
ROLLING_FIELDS = ("streaming.redisSecretRef",)
"""Of sections that are live but for them."""


def revision(spec: Spec) -> str:
    """Eight characters. Written-out defaults and left-out ones give the same.

    So a rolling field that a later operator adds makes no new revision while it stands at its default.
    """
    return names.short_hash(_canonical(_rolling(spec)))


def _rolling(spec: Spec) -> dict[str, Any]:
    rolling = {field: _written(getattr(spec, field)) for field in ROLLING}
    redis = spec.streaming.redis_secret_ref  # in its environment: a pod that runs cannot be told
    return rolling | ({"redis": redis} if redis else {})


CARRIED = ("uri", "revision", "version", "dtype", "maxModelLength", "sha256")
"""Fields of spec.model that reach a running pod by its settings. All others need a new pod."""


def mold(spec: Spec) -> str:
    """A fingerprint of the rolling fields that a pod cannot change while it runs. The claim of pvc:// is among them."""
    rolling = _rolling(spec)
    for field in CARRIED:
        rolling["model"].pop(field, None)
    scheme, _, rest = spec.model.uri.partition("://")
    claim = rest.partition("/")[0] if scheme == "pvc" else ""
    opens = scheme if spec.model.secret_ref else ""  # each scheme takes its secret in its own way
    return names.short_hash(_canonical(rolling | {"claim": claim, "opens": opens}))


def ask(spec: Spec) -> str:
    """A fingerprint of all that the user asks for, `replicas` apart: an autoscaler's edit asks for nothing new."""
    asked = _written(spec)
    asked.pop("replicas", None)
    return names.short_hash(_canonical(asked))


def _written(section: Section) -> dict[str, Any]:
    """The section as a person would write it who leaves out every default."""
    return {
        field.encode_name: _plain(value)
        for field in _fields(type(section))
        if (value := getattr(section, field.name)) != _default(field)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return _written(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@cache
def _fields(section: type[Section]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(section)  # evaluates annotations anew each time, which takes a millisecond


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
