"""What a fleet's pods were made of, written down at its birth: tells whether they would be made otherwise now. Pure.

A fleet's template never changes, so a newer operator restarts no pod. It says what would differ, and waits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from inference_operator import names
from inference_operator.manifests.pod import pod_spec
from inference_operator.spec.rollout import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_operator.spec import Spec

_ANY = "any"


class Template(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of the same revision two of these differ by the operator, its default image, or spec.rollout."""

    image: str
    drain_timeout_seconds: int
    rest: str
    """Hash of all else."""


def template_of(model: str, spec: Spec, *, default_image: str) -> Template:
    server = msgspec.structs.replace(spec.server, image=_ANY)
    neutral = msgspec.structs.replace(spec, server=server, rollout=Rollout())
    pod = {
        "labels": names.fleet_labels(model, _ANY, _ANY),
        "spec": pod_spec(model, neutral, fleet=_ANY, default_image=_ANY),
    }
    return Template(
        image=spec.server.image or default_image,
        drain_timeout_seconds=spec.rollout.drain_timeout_seconds,
        rest=names.short_hash(json.dumps(pod, sort_keys=True)),
    )


def written_template(template: Template) -> str:
    return msgspec.json.encode(template).decode()


def read_template(annotations: Mapping[str, str]) -> Template | None:
    """None for a fleet of an operator that did not write it down, or where a hand garbled it."""
    try:
        return msgspec.json.decode(annotations[names.TEMPLATE], type=Template)
    except (KeyError, msgspec.MsgspecError):
        return None


def differences(born: Template, now: Template) -> Iterator[str]:
    """In words."""
    if born.image != now.image:
        yield f"image {now.image} instead of {born.image}"
    if born.drain_timeout_seconds != now.drain_timeout_seconds:
        yield f"{now.drain_timeout_seconds} s to drain instead of {born.drain_timeout_seconds} s"
    if born.rest != now.rest:
        yield "the pod as this operator makes it"
