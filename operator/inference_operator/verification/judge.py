"""Whether an answer is what a golden prompt expects. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import re2
from msgspec import UNSET

from inference_operator.verification.mark import ANSWER_LENGTH, GateResult

if TYPE_CHECKING:
    from inference_operator.spec.verification import Expect, GoldenPrompt

SHOWN = 120
"""Characters of an expectation in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one pod gave to one prompt."""

    text: str
    tokens: int
    ttft_ms: float
    """From the request to the first token."""
    total_ms: float
    """From the request to the last token."""

    @property
    def tokens_per_second(self) -> float:
        """Of decoding, that is between the first token and the last; of one token alone, from the request on."""
        if self.tokens > 1 and self.total_ms > self.ttft_ms:
            return 1000 * (self.tokens - 1) / (self.total_ms - self.ttft_ms)
        return 1000 * self.tokens / max(self.total_ms, 0.001)


def judge(name: str, prompt: GoldenPrompt, pod: str, answer: Answer) -> GateResult:
    """The gate of one prompt, from the answer of one pod."""
    wrong = _wrong(prompt, answer)
    return GateResult(
        name=name,
        passed=not wrong,
        message=f"pod {pod}: {wrong}" if wrong else _right(answer),
        answer=answer.text[:ANSWER_LENGTH],
        ttft_ms=round(answer.ttft_ms, 1),
        tokens_per_second=round(answer.tokens_per_second, 1),
    )


def failure(name: str, pod: str, why: str) -> GateResult:
    """The gate of a prompt that a pod gave no answer to."""
    return GateResult(name=name, passed=False, message=f"pod {pod} gave no answer: {why}")


def _right(answer: Answer) -> str:
    return f"answered {_quoted(answer.text)}; first token after {answer.ttft_ms:.0f} ms"


def _wrong(prompt: GoldenPrompt, answer: Answer) -> str:
    """The first thing wrong; empty when all is as expected."""
    expected = _unmet(prompt.expect, answer.text) if prompt.expect else ""
    if expected:
        return f"expected {expected}, answered {_quoted(answer.text)}"
    longest, slowest = prompt.max_time_to_first_token_ms, prompt.min_tokens_per_second
    if longest is not None and answer.ttft_ms > longest:
        return f"the first token came after {answer.ttft_ms:.0f} ms; at most {longest} ms are allowed"
    if slowest is not None and answer.tokens_per_second < slowest:
        return f"{answer.tokens_per_second:.1f} tokens per second; at least {slowest:g} are wanted"
    return ""


def _unmet(expect: Expect, text: str) -> str:
    """What was expected and is not so; empty when it is."""
    if expect.contains and expect.contains not in text:
        return f"an answer that contains {_quoted(expect.contains)}"
    if expect.equals and expect.equals.strip() != text.strip():
        return f"the answer {_quoted(expect.equals)}"
    if expect.matches and not re2.search(expect.matches, text):
        return f"an answer that matches {_quoted(expect.matches)}"
    if expect.json is not UNSET and not _holds(expect.json, text):
        return f"JSON that holds {_quoted(json.dumps(expect.json, ensure_ascii=False))}"
    return ""


def _holds(wanted: Any, text: str) -> bool:
    try:
        found = json.loads(_unfenced(text))
    except (ValueError, RecursionError):
        return False
    return _within(wanted, found)


def _within(wanted: Any, found: Any) -> bool:
    """Every key of an object is there with its value; a list has the same length; a value is the same."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key in found and _within(value, found[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same = isinstance(found, list) and len(found) == len(wanted)
        return same and all(_within(value, other) for value, other in zip(wanted, found, strict=True))
    return isinstance(wanted, bool) == isinstance(found, bool) and bool(wanted == found)


def _unfenced(text: str) -> str:
    """Models like to put JSON between ``` lines."""
    lines = text.strip().splitlines()
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1] == "```":
        return "\n".join(lines[1:-1])
    return text


def _quoted(text: str) -> str:
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return json.dumps(shown, ensure_ascii=False)
