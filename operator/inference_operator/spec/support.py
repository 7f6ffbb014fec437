"""Fields that the schema has and this operator does not act on yet. They are refused, never ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_operator.spec.parse import Spec
    from inference_operator.spec.rollout import Rollout

STRATEGIES = ("Auto", "BlueGreen", "InPlace", "Recreate")


def unsupported(spec: Spec) -> tuple[str, ...]:
    """The path of everything asked for that would not happen, in the order of the spec."""
    return (*_fields(spec), *_rollout(spec.rollout))


def _fields(spec: Spec) -> Iterator[str]:
    if spec.server.frontends != 1:
        yield f"spec.server.frontends ({spec.server.frontends})"
    if spec.streaming.redis_secret_ref:
        yield "spec.streaming.redisSecretRef"


def _rollout(rollout: Rollout) -> Iterator[str]:
    if rollout.strategy not in STRATEGIES:
        yield f"spec.rollout.strategy ({rollout.strategy})"
