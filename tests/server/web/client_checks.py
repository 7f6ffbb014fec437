"""What a user of the openai client does, check by check."""

from __future__ import annotations

import openai
import pytest

from bench.openai_checks.check import Checks

HELLO = [{"role": "user", "content": "Hi"}]


check = Checks()


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
