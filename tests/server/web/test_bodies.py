"""Bodies that cannot be served are told which field is wrong, in OpenAI's shape."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_serve.errors import InvalidRequest
from realtime_serve.generation.request import Origin
from realtime_serve.web.bodies import MAX_BODY_BYTES
from realtime_serve.web.openai.bodies import ChatBody, CompletionBody, decode_chat, decode_completion
from realtime_serve.web.openai.reading import Wish, read_chat, read_completion

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}
PLAIN = {"model": "chat", "prompt": "abc"}

JSON_OBJECT = {"type": "json_object"}
TOOL = {"type": "function", "function": {"name": "weather"}}

WRONG = [
    ({"temperature": "hot"}, "temperature", "invalid_value", "expected `float"),
    ({"temperature": 2.1}, "temperature", "invalid_value", "<= 2"),
    ({"top_p": 0}, "top_p", "invalid_value", "> 0"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value", ">= 1"),
    ({"max_tokens": 5000}, "max_tokens", "invalid_value", "limit of 4096"),
    ({"max_tokens": 3000}, "max_tokens", "context_length_exceeded", "context length is 2048"),
    ({"seed": 2**63}, "seed", "invalid_value", ""),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value", "length <= 4"),
    ({"stop": ""}, "stop", "invalid_value", "length >= 1"),
    ({"n": 0}, "n", "invalid_value", ">= 1"),
    ({"n": 129}, "n", "invalid_value", "<= 128"),
    ({"min_p": 1.5}, "min_p", "invalid_value", "<= 1"),
    ({"presence_penalty": 2.5}, "presence_penalty", "invalid_value", "<= 2"),
    ({"frequency_penalty": -2.5}, "frequency_penalty", "invalid_value", ">= -2"),
    ({"repetition_penalty": 0}, "repetition_penalty", "invalid_value", "> 0"),
    ({"logit_bias": {"5": 101}}, "logit_bias[...]", "invalid_value", "<= 100"),
    ({"logit_bias": {"9999": 1}}, "logit_bias", "invalid_value", "outside the vocabulary (0 to 259)"),
    ({"stop_token_ids": [260]}, "stop_token_ids", "invalid_value", "outside the vocabulary (0 to 259)"),
    ({"max_tokens": 2, "min_tokens": 3}, "min_tokens", "invalid_value", "more than the 2 of max_tokens"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value", "stream: true"),
    (
        {"stream": True, "stream_options": {"usage": 1}},
        "stream_options.usage",
        "invalid_value",
        "unknown field",
    ),
    ({"tempersture": 1}, "tempersture", "invalid_value", "unknown field"),
    ({"response_format": JSON_OBJECT}, "response_format", "invalid_value", "echoes its prompt"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", "'xml'"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value", "missing"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
        "response_format.json_schema.name",
        "invalid_value",
        "matching",
    ),
    ({"response_format": JSON_OBJECT, "ignore_eos": True}, "ignore_eos", "invalid_value", "response_format"),
    ({"response_format": JSON_OBJECT, "min_tokens": 2}, "min_tokens", "invalid_value", "response_format"),
]
WRONG_CHAT = [
    ({"messages": []}, "messages", "invalid_value", "length >= 1"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value", "robot"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_value", "missing"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "text": ""}]}]},
        "messages[0].content[0].type",
        "invalid_value",
        "image_url",
    ),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "invalid_value", "differs"),
    ({"max_completion_tokens": 5000}, "max_completion_tokens", "invalid_value", "limit of 4096"),
    ({"max_completion_tokens": 2, "min_tokens": 3}, "min_tokens", "invalid_value", "max_completion_tokens"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "invalid_value", "missing"),
    ({"tools": [TOOL]}, "tools", "chat_template_error", "knows nothing of tools"),
    ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice", "invalid_value", "not supported"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_value", "missing"),
    ({"top_logprobs": 3}, "top_logprobs", "invalid_value", "logprobs: true"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value", "<= 20"),
]
WRONG_PLAIN = [
    ({"prompt": ["a", 5]}, "prompt", "invalid_value", "not both in one list"),
    ({"prompt": ["a", ""]}, "prompt", "invalid_value", "empty"),
    ({"prompt": ["a"] * 65, "n": 2}, "prompt", "invalid_value", "130 answers"),
    ({"logprobs": 21}, "logprobs", "invalid_value", "<= 20"),
    ({"best_of": 3, "n": 2}, "best_of", "invalid_value", "only the value of n"),
    ({"echo": True, "logprobs": 1}, "echo", "invalid_value", "not with logprobs"),
    ({"prompt": ""}, "prompt", "invalid_value", "empty"),
    ({"prompt": [1, 99999]}, "prompt", "invalid_value", "99999"),
    ({"prompt": "x" * 3000}, None, "context_length_exceeded", "3000 tokens"),
]
CASES = [
    *(("chat/completions", CHAT | change, *wants) for change, *wants in WRONG + WRONG_CHAT),
    *(("completions", PLAIN | change, *wants) for change, *wants in WRONG + WRONG_PLAIN),
]


async def test_what_is_wrong_is_told_with_its_field(front):
    for path, body, param, code, words in CASES:
        async with front.client.post(f"/v1/{path}", json=body) as response:
            error = (await response.json())["error"]
        assert response.status == 400, body
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code), body
        assert words in error["message"], error
    assert (await front.status())["streams"]["active"] == 0


async def test_fields_that_change_no_answer_and_values_that_ask_for_nothing_are_taken(front):
    neutral = {
        "n": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "user": "u",
        "metadata": {"a": "b"},
    }
    chat = {
        "tools": [],
        "logprobs": False,
        "response_format": {"type": "text"},
        "store": True,
        "temperature": None,
    }
    plain = {"echo": False, "best_of": 1, "logprobs": None, "suffix": None, "top_k": -1}
    for path, body in (("chat/completions", CHAT | neutral | chat), ("completions", PLAIN | neutral | plain)):
        async with front.client.post(f"/v1/{path}", json=body | {"max_tokens": 1}) as response:
            assert response.status == 200, await response.text()


@pytest.mark.parametrize(
    ("method", "path", "content", "kind", "status", "code"),
    [
        ("POST", "/v1/completions", b"{", "application/json", 400, "invalid_value"),
        ("POST", "/v1/completions", b'"\xff"', "application/json", 400, "invalid_value"),
        ("POST", "/v1/completions", b"[]", "application/json", 400, "invalid_value"),
        ("POST", "/v1/completions", b"{}", "text/plain", 415, "unsupported_media_type"),
        (
            "POST",
            "/v1/completions",
            b" " * (MAX_BODY_BYTES + 1),
            "application/json",
            413,
            "request_entity_too_large",
        ),
        ("GET", "/v1/completions", b"", "application/json", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", b"", "application/json", 404, "not_found"),
        (
            "POST",
            "/v1/completions",
            b'{"model":"x","prompt":"a"}',
            "application/json",
            404,
            "model_not_found",
        ),
    ],
)
async def test_what_is_no_request_of_this_api_is_told_in_the_same_shape(
    front, method, path, content, kind, status, code
):
    headers = {"Content-Type": kind}
    async with front.client.request(method, path, data=content, headers=headers) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({*ChatBody.__struct_fields__, *CompletionBody.__struct_fields__})
CHANGES = st.dictionaries(st.sampled_from(FIELDS), VALUE, max_size=4)


@settings(suppress_health_check=[HealthCheck.too_slow])  # it is the machine that is slow
@given(changes=CHANGES)
def test_any_values_are_a_wish_or_an_error_of_the_client(changes):
    for body, decode, read in ((CHAT, decode_chat, read_chat), (PLAIN, decode_completion, read_completion)):
        with contextlib.suppress(InvalidRequest):
            assert isinstance(read(decode(json.dumps(body | changes).encode()), Origin("id")), Wish)


@pytest.mark.parametrize("content", [b'{"metadata":' + b"[" * 100_000, b'{"user":"\\ud800"}', b"\xff", b""])
def test_what_no_parser_likes_is_an_error_of_the_client(content):
    with pytest.raises(InvalidRequest):
        decode_chat(content)
