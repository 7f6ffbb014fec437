"""What a user of the openai client does, check by check, with the blocking client and the other one."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end

HELLO = [{"role": "user", "content": "Hi"}]
CHECKS: list[Callable[[openai.OpenAI], Any]] = []


def check(function):
    CHECKS.append(function)
    return function


def refused(kind, param, code="invalid_value"):
    """Expects an error of this class, which names the field."""
    return pytest.raises(kind, check=lambda error: (error.param, error.code) == (param, code))


@check
def models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["chat"]


@check
def a_model_is_found_by_its_name(client):
    assert client.models.retrieve("chat").object == "model"


@check
def another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        client.models.retrieve("gpt")


@check
def a_chat_has_an_answer(client):
    done = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=5)
    assert done.choices[0].message.role == "assistant"
    assert done.choices[0].finish_reason == "length"


@check
def a_chat_names_its_version(client):
    done = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=1)
    assert done.system_fingerprint == "rs-1.0.0"


@check
def usage_adds_up(client):
    usage = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=5).usage
    assert (usage.completion_tokens, usage.total_tokens) == (5, usage.prompt_tokens + 5)


@check
def a_chat_stops_at_the_models_own_end(client):
    assert client.chat.completions.create(model="chat", messages=HELLO).choices[0].finish_reason == "stop"


@check
def a_chat_takes_parts(client):
    parts = [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]
    by_parts = client.chat.completions.create(
        model="chat", messages=[{"role": "user", "content": parts}], max_tokens=9
    )
    plain = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=9)
    assert by_parts.choices[0].message.content == plain.choices[0].message.content


@check
def a_chat_takes_the_developers_role(client):
    messages = [{"role": "developer", "content": "Be kind."}, *HELLO]
    assert client.chat.completions.create(model="chat", messages=messages, max_tokens=3).choices


@check
def an_answer_can_be_sent_back(client):
    done = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=3)
    messages = [*HELLO, done.choices[0].message, {"role": "user", "content": "More"}]
    assert client.chat.completions.create(model="chat", messages=messages, max_tokens=3).choices


@check
def a_chat_streams(client):
    whole = client.chat.completions.create(model="chat", messages=HELLO).choices[0].message.content
    stream = client.chat.completions.create(model="chat", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole


@check
def a_stream_tells_its_usage_at_the_end(client):
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model="chat", messages=HELLO, stream=True, stream_options=options, max_tokens=4
    )
    *chunks, last = stream
    assert last.usage.completion_tokens == 4
    assert all(chunk.usage is None for chunk in chunks)


@check
def a_stream_tells_its_usage_all_the_time(client):
    options = {"include_usage": True, "continuous_usage_stats": True}
    stream = client.completions.create(
        model="chat", prompt="abc", stream=True, stream_options=options, max_tokens=4
    )
    assert all(chunk.usage is not None for chunk in stream)


@check
def the_streaming_helper_works(client):
    with client.chat.completions.stream(model="chat", messages=HELLO) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].finish_reason == "stop"


@check
def a_stream_can_be_closed_early(client):
    stream = client.completions.create(model="chat", prompt="abc", stream=True, max_tokens=2000)
    next(iter(stream))
    stream.close()


@check
def the_newer_word_for_the_length_counts(client):
    done = client.chat.completions.create(model="chat", messages=HELLO, max_completion_tokens=7)
    assert done.usage.completion_tokens == 7


@check
def several_answers_come_in_order(client):
    done = client.chat.completions.create(model="chat", messages=HELLO, n=3, max_tokens=4)
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert done.usage.completion_tokens == 12


@check
def several_answers_stream(client):
    stream = client.chat.completions.create(model="chat", messages=HELLO, n=2, max_tokens=4, stream=True)
    assert {choice.index for chunk in stream for choice in chunk.choices} == {0, 1}


@check
def a_stop_string_ends_the_answer(client):
    done = client.completions.create(model="chat", prompt="abcd", stop="c", max_tokens=20)
    assert (done.choices[0].text, done.choices[0].finish_reason) == ("ab", "stop")


@check
def four_stop_strings_are_taken(client):
    done = client.completions.create(model="chat", prompt="abcd", stop=["x", "y", "z", "d"], max_tokens=20)
    assert done.choices[0].text == "abc"


@check
def five_stop_strings_are_refused(client):
    with refused(openai.BadRequestError, "stop"):
        client.completions.create(model="chat", prompt="a", stop=["a", "b", "c", "d", "e"])


@check
def chat_logprobs_are_typed(client):
    done = client.chat.completions.create(
        model="chat", messages=HELLO, logprobs=True, top_logprobs=3, max_tokens=2
    )
    first = done.choices[0].logprobs.content[0]
    assert (first.logprob, len(first.top_logprobs)) == (-0.5, 3)


@check
def streamed_chat_logprobs_are_typed(client):
    stream = client.chat.completions.create(
        model="chat", messages=HELLO, logprobs=True, max_tokens=4, stream=True
    )
    found = [chunk.choices[0].logprobs for chunk in stream if chunk.choices[0].logprobs]
    assert sum(len(part.content) for part in found) == 4


@check
def completion_logprobs_are_typed(client):
    logprobs = (
        client.completions.create(model="chat", prompt="abc", logprobs=2, max_tokens=3).choices[0].logprobs
    )
    assert (logprobs.tokens, logprobs.text_offset) == (["a", "b", "c"], [0, 1, 2])


@check
def echo_repeats_the_prompt(client):
    assert (
        client.completions.create(model="chat", prompt="abc", echo=True, max_tokens=1).choices[0].text
        == "abca"
    )


@check
def prompts_come_in_lists(client):
    done = client.completions.create(model="chat", prompt=["ab", "cd"], max_tokens=2)
    assert [choice.text for choice in done.choices] == ["ab", "cd"]


@check
def prompts_are_token_ids(client):
    assert client.completions.create(model="chat", prompt=[64, 65], max_tokens=2).usage.prompt_tokens == 2


@check
def every_sampling_field_is_taken(client):
    more = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "min_tokens": 2, "stop_token_ids": [3]}
    done = client.chat.completions.create(
        model="chat",
        messages=HELLO,
        temperature=0.5,
        top_p=0.9,
        seed=-7,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logit_bias={"5": -100},
        user="me",
        metadata={"a": "b"},
        store=False,
        max_tokens=4,
        extra_body=more,
    )
    assert done.usage.completion_tokens == 4


@check
def an_unknown_field_is_told(client):
    with refused(openai.BadRequestError, "tempersture"):
        client.chat.completions.create(model="chat", messages=HELLO, extra_body={"tempersture": 1})


@check
def a_value_out_of_bounds_is_told(client):
    with refused(openai.BadRequestError, "temperature"):
        client.chat.completions.create(model="chat", messages=HELLO, temperature=3)


@check
def too_long_a_prompt_is_told(client):
    with refused(openai.BadRequestError, None, "context_length_exceeded"):
        client.completions.create(model="chat", prompt="x" * 3000)


@check
def too_long_an_answer_is_told(client):
    with refused(openai.BadRequestError, "max_tokens"):
        client.completions.create(model="chat", prompt="x", max_tokens=5000)


@check
def a_model_that_is_not_here_is_told(client):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt", messages=HELLO)


@check
def an_empty_list_of_messages_is_told(client):
    with refused(openai.BadRequestError, "messages"):
        client.chat.completions.create(model="chat", messages=[])


@check
def an_image_is_refused_by_its_path(client):
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    with refused(openai.BadRequestError, "messages[0].content[0].type"):
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": image}])


@check
def an_error_names_its_request(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model="chat", prompt="")
    assert len(error.value.request_id) == 32


@check
def the_raw_response_has_the_headers(client):
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=HELLO, max_tokens=1)
    assert raw.headers["X-Model-Version"] == "1.0.0"
    assert raw.parse().choices


@check
def a_path_that_is_not_there_is_told(client):
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="chat", input="x")


@check
def a_read_that_takes_too_long_is_the_clients_own_error(client):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.05, max_retries=0).completions.create(
            model="chat", prompt="a", max_tokens=2000, extra_body={"ignore_eos": True}
        )


def failures(client):
    found = {}
    for function in CHECKS:
        try:
            function(client)
        except Exception:  # noqa: BLE001  each check is told of, whatever it raises
            found[function.__name__] = traceback.format_exc()
    return found


async def test_the_blocking_client_gets_what_its_user_expects(directory):
    assert len(CHECKS) >= 39
    async with front_end(echo_engine(directory, step_seconds=0.0005)) as front:
        with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
            found = await asyncio.to_thread(failures, client)
    assert not found, "\n".join(f"{name}\n{trace}" for name, trace in found.items())


async def test_the_async_client_runs_many_at_once(front):
    async with openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none") as client:

        async def one(number: int) -> str:
            stream = await client.completions.create(
                model="chat", prompt=f"<{number}>", stream=True, max_tokens=20
            )
            return "".join([chunk.choices[0].text async for chunk in stream])

        texts = await asyncio.gather(*map(one, range(40)))
    assert texts == [(f"<{number}>" * 10)[:20] for number in range(40)]


async def test_a_client_that_finds_the_server_full_tries_again(directory):
    slow = echo_engine(directory, step_seconds=0.005)
    async with (
        front_end(slow, limits={"maxConnections": 1}) as front,
        openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=5) as client,
    ):
        busy = await client.completions.create(model="chat", prompt="a", stream=True, max_tokens=2000)
        waiting = asyncio.create_task(client.completions.create(model="chat", prompt="abc", max_tokens=1))
        await front.settle(lambda _: refusals(front) > 0)
        await busy.close()
        assert (await waiting).choices[0].text == "a"


def refusals(front):
    labels = {"model_name": "chat", "model_version": "1.0.0", "priority": "normal", "reason": "overloaded"}
    value = front.serving.metrics.registry.get_sample_value("realtime_serve_request_failure_total", labels)
    return value or 0


async def test_an_error_in_the_middle_of_a_stream_reaches_the_client(directory):
    async with front_end(echo_engine(directory, step_seconds=0.005)) as front:
        await front.set(limits={"requestTimeoutSeconds": 1})
        async with openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none") as client:
            stream = await client.completions.create(
                model="chat", prompt="abc", stream=True, max_tokens=2000, extra_body={"ignore_eos": True}
            )
            with pytest.raises(openai.APIError, match="not done within 1 s"):
                async for _ in stream:
                    pass
