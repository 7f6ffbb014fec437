"""What a gate answers: yes or no, a reason for machines, and a sentence for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference_operator.observed import Pod
    from inference_operator.reasons import Reason
    from inference_operator.roles import Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    passed: bool
    reason: Reason
    message: str


Gate = Callable[["Scene", Any], Verdict]
"""The second argument is the fleet asked about; None only while no fleet stands for the wanted revision."""


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def pod_names(pods: Iterable[Pod]) -> str:
    return ", ".join(pod.name for pod in pods)
