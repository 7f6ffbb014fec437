"""The result of a verification as it stands on the fleet's Deployment, and whom it speaks of. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from inference_operator import names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_operator.verification.prompts import Asked

ANSWER_LENGTH = 200
MARK_LENGTH = 8192
"""Bytes of the annotation."""
_SHORTER = (ANSWER_LENGTH, 100, 50, 20, 0)
"""Characters that are kept of each answer and message, where many gates share the annotation."""


class GateResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One golden prompt, or the warm-up, as all pods answered it: the first failure, else the slowest answer."""

    name: Annotated[str, Meta(max_length=64)]
    passed: bool
    message: str = ""
    answer: str = ""
    ttft_ms: float | None = None
    tokens_per_second: float | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    subject: str = msgspec.field(name="spec")
    gates: Annotated[tuple[GateResult, ...], Meta(max_length=64)] = ()

    @property
    def failed(self) -> tuple[GateResult, ...]:
        return tuple(gate for gate in self.gates if not gate.passed)


def subject(asked: Asked, version: str, processes: Iterable[tuple[str, int]]) -> str:
    """Whom a result speaks of: these prompts, this version, these processes (pod uid and its restarts).

    A pod that was replaced or restarted has a process that nobody has asked: it is judged anew.
    """
    prompts = msgspec.json.encode(asked.prompts, order="sorted").decode()
    return names.short_hash(json.dumps([asked.warmup, prompts, version, sorted(processes)]), 12)


def write_result(result: Result) -> str:
    """JSON within the annotation's bound; where there is little room the answers are shortened first."""
    for length in _SHORTER:
        gates = tuple(_shortened(gate, length) for gate in result.gates)
        text = msgspec.json.encode(Result(subject=result.subject, gates=gates)).decode()
        if len(text.encode()) <= MARK_LENGTH:
            return text
    return text


def read_result(text: str) -> Result | None:
    """None when there is none, or when a hand garbled it: then the pods are asked anew."""
    try:
        return msgspec.json.decode(text, type=Result)
    except msgspec.MsgspecError:
        return None


def _shortened(gate: GateResult, length: int) -> GateResult:
    kept = max(length, 60) if not gate.passed else length
    return msgspec.structs.replace(gate, answer=gate.answer[:length], message=gate.message[: 2 * kept])
