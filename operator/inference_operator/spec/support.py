"""Fields that the schema has and this operator does not act on yet. They are refused, never ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_operator.spec.parse import Spec
    from inference_operator.spec.rollout import Rollout

SCHEMES = ("hf", "pvc", "file")
STRATEGIES = ("Auto", "BlueGreen", "InPlace", "Recreate")


def unsupported(spec: Spec, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The path of everything asked for that would not happen, in the order of the spec."""
    return (*_fields(spec), *_rollout(spec.rollout), *_verbs(annotations))


def _fields(spec: Spec) -> Iterator[str]:
    if spec.model.scheme not in SCHEMES:
        yield f"spec.model.uri ({spec.model.scheme}://)"
    if spec.server.frontends != 1:
        yield f"spec.server.frontends ({spec.server.frontends})"
    if spec.streaming.redis_secret_ref:
        yield "spec.streaming.redisSecretRef"
    if spec.suspend:
        yield "spec.suspend (true)"


def _rollout(rollout: Rollout) -> Iterator[str]:
    if rollout.strategy not in STRATEGIES:
        yield f"spec.rollout.strategy ({rollout.strategy})"
    if not rollout.auto_promotion:
        yield "spec.rollout.autoPromotion (false)"
    if rollout.verification is not None:
        yield "spec.rollout.verification"
    if rollout.keep_previous_seconds is not None:
        yield "spec.rollout.keepPreviousSeconds"
    if rollout.analysis is not None:
        yield "spec.rollout.analysis"


def _verbs(annotations: Mapping[str, str]) -> Iterator[str]:
    for verb in names.VERBS:
        if verb in annotations:
            yield f"metadata.annotations[{verb}]"
