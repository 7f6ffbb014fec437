"""A request that could not be computed is refused before it joins a step, with the field and what is allowed."""

from __future__ import annotations

import math

import pytest

from realtime_serve.engine.messages import Sampling, Submit
from realtime_serve.engine.refusal import refuse


def refusal(prompt: list[int] = [1], max_tokens: int = 1, **sampling) -> str:  # noqa: B006  # only read
    return refuse(Submit(1, prompt, max_tokens, Sampling(**sampling), [], 1), longest=10, vocabulary=50)


def test_what_can_be_computed_is_not_refused():
    assert refusal() == ""
    assert refusal(min_p=1.0, top_p=1.0, logprobs=20, logit_bias={49: -100.0}, repetition_penalty=0.5) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("min_p", -0.1),
        ("min_p", math.nan),
        ("presence_penalty", math.inf),
        ("frequency_penalty", math.nan),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", math.inf),
        ("logprobs", 21),
        ("min_tokens", -1),
        ("logit_bias", {1: math.nan}),
        ("logit_bias", {50: 1.0}),
        ("logit_bias", {-1: 1.0}),
    ],
)
def test_a_bad_field_is_named(field, value):
    assert refusal(**{field: value}).startswith(field)


@pytest.mark.parametrize("prompt", [[], [1] * 10, [50], [-1]])
def test_a_prompt_that_does_not_fit_or_is_none(prompt):
    assert "prompt" in refusal(prompt)


def test_an_answer_of_no_token():
    assert "max_tokens" in refusal(max_tokens=0)
