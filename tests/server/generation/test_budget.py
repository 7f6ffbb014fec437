"""How many tokens a request may generate."""

from __future__ import annotations

import pytest

from realtime_serve.errors import ContextLengthExceeded, InvalidRequest
from realtime_serve.generation.budget import token_budget


@pytest.mark.parametrize(
    ("prompt", "asked", "limit", "context", "wants"),
    [
        pytest.param(10, 5, 100, 64, 5, id="what is asked, where it fits"),
        pytest.param(10, None, 100, 64, 54, id="what fits, where nothing is asked"),
        pytest.param(10, None, 20, 64, 20, id="the limit, where more would fit"),
        pytest.param(10, 54, 100, 64, 54, id="to the last place"),
        pytest.param(63, None, 100, 64, 1, id="one, after the longest prompt"),
    ],
)
def test_a_request_gets(prompt, asked, limit, context, wants):
    assert token_budget(prompt, asked, limit=limit, context=context, field="max_tokens") == wants


@pytest.mark.parametrize(
    ("prompt", "asked", "error", "param", "words"),
    [
        pytest.param(64, None, ContextLengthExceeded, "", "64 tokens", id="a prompt that leaves no place"),
        pytest.param(10, 55, ContextLengthExceeded, "max_tokens", "together 65", id="more than fits"),
        pytest.param(10, 101, InvalidRequest, "max_tokens", "limit of 100", id="more than the limit"),
    ],
)
def test_refused_is(prompt, asked, error, param, words):
    with pytest.raises(error, match=words) as raised:
        token_budget(prompt, asked, limit=100, context=64, field="max_tokens")
    assert (type(raised.value), raised.value.param) == (error, param)
