"""Hooks of schemathesis: bodies name the model that is there and ask for little, so that most of them reach it."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

TOKENS = 8
CHOICES = 3
RELATED = (
    "best_of",
    "echo",
    "ignore_eos",
    "logit_bias",
    "max_completion_tokens",
    "min_tokens",
    "response_format",
    "stop_token_ids",
    "stream_options",
    "top_logprobs",
)
"""What is right by itself may be wrong beside another field, or for the model at hand."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """What makes a body wrong stays in it."""
    body = case.body
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return
    if len(body["model"]) % 4 != 3:  # some are left to be unknown
        body["model"] = "chat"
    for field, most in (("max_tokens", TOKENS), ("n", CHOICES)):
        if type(body.get(field)) is int and body[field] > most:
            body[field] = most
    if "prompt" in body or "messages" in body:
        body.setdefault("max_tokens", TOKENS)
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        _make_sense(body)


def _make_sense(body: dict[str, Any]) -> None:
    for number, field in enumerate(RELATED):
        if hash((len(str(body)), number)) % 4:
            body.pop(field, None)
    for message in body.get("messages", ()):
        if message.get("content") is None:
            message["content"] = "Hi"
