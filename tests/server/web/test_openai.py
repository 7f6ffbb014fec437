"""The OpenAI API as its clients see it."""

from __future__ import annotations

import openai
import pytest

from realtime_serve.text.tokenizer import load_tokenizer
from tests.support.echo_engine import echo_engine
from tests.support.front_end import events, front_end, text_of

EMOJI = "a🙂é漢👩\u200d🚀z"


async def test_a_chat_stream_has_the_order_that_clients_expect(front):
    options = {"include_usage": True}
    async with front.chat(stream=True, stream_options=options, ignore_eos=True, max_tokens=12) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        assert response.headers["X-Accel-Buffering"] == "no"
        first, *middle, last, usage, done = await events(response)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(chunk["choices"][0]["delta"]["content"] for chunk in middle)
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 12)
    assert usage["usage"]["total_tokens"] == 12 + usage["usage"]["prompt_tokens"]
    assert done == "[DONE]"
    chunks = [first, *middle, last, usage]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["system_fingerprint"]) for chunk in chunks}) == 1
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


async def test_a_completion_stream_has_its_own_shape_and_no_usage_unasked(front):
    async with front.complete("abc", stream=True, max_tokens=7) as response:
        *chunks, last, done = await events(response)
    assert text_of(chunks) == "abcabca"
    assert last["choices"][0] == {"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}
    assert done == "[DONE]"
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[0]["object"] == "text_completion"


async def test_usage_in_every_chunk_grows_to_the_whole(front):
    options = {"include_usage": True, "continuous_usage_stats": True}
    async with front.complete("abc", stream=True, max_tokens=9, stream_options=options) as response:
        *chunks, _done = await events(response)
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[-1] == 9


async def test_a_whole_answer_is_what_the_stream_says(front):
    async with front.chat(EMOJI, max_tokens=80, ignore_eos=True) as response:
        whole = await response.json()
    async with front.chat(EMOJI, max_tokens=80, ignore_eos=True, stream=True) as response:
        chunks = await events(response)
    choice = whole["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": text_of(chunks), "refusal": None}
    assert choice["finish_reason"] == "length"
    assert whole["usage"]["completion_tokens"] == 80
    assert whole["object"] == "chat.completion"


async def test_a_token_that_ends_the_text_counts_and_is_no_text(front):
    async with front.chat() as response:
        whole = await response.json()
    assert whole["choices"][0]["message"]["content"] == "system\nBe brief."
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == len("<system\nBe brief.>")


async def test_an_end_that_is_no_special_token_is_no_text_either(directory):
    (end,) = load_tokenizer(directory).encode("z")
    async with front_end(echo_engine(directory, end=end)) as front, front.complete("abz") as response:
        whole = await response.json()
    assert whole["choices"][0] == {"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop"}
    assert whole["usage"]["completion_tokens"] == 3


async def test_characters_are_whole_in_every_chunk(front):
    async with front.complete(EMOJI, stream=True, max_tokens=3 * len(EMOJI.encode())) as response:
        chunks = await events(response)
    pieces = [chunk["choices"][0]["text"] for chunk in chunks[:-1]]
    assert "".join(pieces) == EMOJI * 3
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("stop", "text", "tokens"),
    [
        pytest.param("c🙂", "ab", 7, id="across tokens, inside a character's bytes"),
        pytest.param(["zzz", "bc", "b"], "a", 2, id="the one that is complete first"),
        pytest.param(["abX"], "abc🙂abc🙂abc🙂", 21, id="one that never comes"),
    ],
)
async def test_text_ends_before_a_stop_string(front, stream, stop, text, tokens):
    asked = {"stop": stop, "max_tokens": 21}
    if stream:
        async with front.complete(
            "abc🙂", stream=True, stream_options={"include_usage": True}, **asked
        ) as response:
            *chunks, usage, _done = await events(response)
        seen, count = text_of(chunks), usage["usage"]["completion_tokens"]
    else:
        async with front.complete("abc🙂", **asked) as response:
            whole = await response.json()
        seen, count = whole["choices"][0]["text"], whole["usage"]["completion_tokens"]
    assert (seen, count) == (text, tokens)


async def test_a_stop_string_ends_the_sequence_in_the_engine_too(front):
    async with front.complete("abc", stop="c", max_tokens=2000) as response:
        assert (await response.json())["choices"][0]["finish_reason"] == "stop"
    await front.settle(lambda status: status["queues"]["chat"] == {"waiting": 0, "running": 0})


async def test_a_prompt_may_be_token_ids(front):
    async with front.complete([64, 65, 66], max_tokens=3) as response:
        assert len((await response.json())["choices"][0]["text"]) == 3


async def test_every_response_names_version_and_request(front):
    headers = {"X-Request-Id": "my-id.1"}
    body = {"model": "chat", "prompt": "abc", "max_tokens": 1}
    async with front.client.post("/v1/completions", json=body, headers=headers) as response:
        assert response.headers["X-Request-Id"] == "my-id.1"
        assert response.headers["X-Model-Version"] == "1.0.0"
        assert (await response.json())["system_fingerprint"] == "rs-1.0.0"
    async with front.client.get("/nothing-here", headers={"X-Request-Id": "bad id\u00e9"}) as response:
        assert len(response.headers["X-Request-Id"]) == 32
        assert response.headers["X-Model-Version"] == "1.0.0"


async def test_the_models_are_listed(front):
    async with openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none") as client:
        assert [model.id for model in (await client.models.list()).data] == ["chat"]
        assert (await client.models.retrieve("chat")).owned_by == "realtime-serve"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("other")


async def test_the_async_client_reads_streams_and_whole_answers(front):
    async with openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none") as client:
        messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
        stream = await client.chat.completions.create(
            model="chat", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        whole = await client.chat.completions.create(model="chat", messages=messages)
        follow_up = [*messages, whole.choices[0].message, {"role": "user", "content": "More"}]
        again = await client.chat.completions.create(
            model="chat", messages=follow_up, max_completion_tokens=3
        )
        plain = await client.completions.create(model="chat", prompt="xyz", max_tokens=4)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content == "system\nBe brief."
    assert chunks[-1].usage == whole.usage
    assert again.usage.completion_tokens == 3
    assert plain.choices[0].text == "xyzx"
