"""Several answers to one request, and what the model thought of each token."""

from __future__ import annotations

import pytest

from realtime_serve.generation.served import Loaded
from tests.support.echo_engine import echo_engine
from tests.support.front_end import events, front_end
from tests.support.tiny_tokenizers import write_tokenizer

TOOLS = (
    "{% for tool in tools or [] %}{{ tool.function.name }}:{{ tool.function.parameters | tojson }};{% endfor %}"
    "{% for message in messages %}{{ message.role }}={{ message.content }}"
    "{% for call in message.tool_calls or [] %}{{ call.function.name }}({{ call.function.arguments.city }}){% endfor %}"
    "{{ message.tool_call_id }}.{% endfor %}"
)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def by_index(chunks):
    """The choices of a stream's chunks, by their index."""
    found = {}
    for chunk in chunks[:-1]:
        for choice in chunk["choices"]:
            found.setdefault(choice["index"], []).append(choice)
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_each_prompt_gets_n_answers_in_order(front, stream):
    asked = {"n": 2, "max_tokens": 4, "stream": stream}
    async with front.complete(["ab", [68, 69, 70]], **asked) as response:
        if stream:
            found = by_index(await events(response))
            texts = ["".join(choice["text"] for choice in found[index]) for index in range(4)]
            assert all(choices[-1]["finish_reason"] == "length" for choices in found.values())
        else:
            whole = await response.json()
            texts = [choice["text"] for choice in whole["choices"]]
            assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2, 3]
            assert whole["usage"] == {"prompt_tokens": 5, "completion_tokens": 16, "total_tokens": 21}
    assert texts[:2] == ["abab", "abab"]
    assert texts[2] == texts[3] != texts[0]


async def test_a_chat_of_several_answers_gives_each_a_role(front):
    async with front.chat(n=3, max_tokens=2, stream=True) as response:
        found = by_index(await events(response))
    assert set(found) == {0, 1, 2}
    assert all(choices[0]["delta"] == {"role": "assistant", "content": ""} for choices in found.values())


async def test_seeds_of_the_answers_differ_and_the_first_has_the_seed_that_was_asked_for(front, monkeypatch):
    seeds = []
    loaded: Loaded = front.serving.models.first.current.loaded
    submit = loaded.engine.submit

    def spy(prompt, *, sampling, **more):
        seeds.append(sampling.seed)
        return submit(prompt, sampling=sampling, **more)

    monkeypatch.setattr(loaded.engine, "submit", spy)
    async with front.complete("abc", n=3, seed=2**63 - 2, max_tokens=1) as response:
        assert response.status == 200
    assert seeds == [2**63 - 2, 2**63 - 1, 0]


async def test_a_client_that_leaves_takes_all_its_sequences_along(directory):
    async with front_end(echo_engine(directory, step_seconds=0.005)) as front:
        async with front.complete("abc", n=5, stream=True, max_tokens=2000, ignore_eos=True) as response:
            await front.settle(lambda status: status["queues"]["chat"]["running"] == 5)
            assert (await front.status())["streams"]["active"] == 1
            response.close()
        await front.settle(lambda status: status["queues"]["chat"] == {"waiting": 0, "running": 0})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_logprobs_of_a_chat_come_with_every_token(front, stream):
    asked = {"logprobs": True, "top_logprobs": 2, "max_tokens": 6, "ignore_eos": True, "stream": stream}
    async with front.chat("é", **asked) as response:
        if stream:
            choices = by_index(await events(response))[0]
            content = [
                token for choice in choices if choice["logprobs"] for token in choice["logprobs"]["content"]
            ]
        else:
            content = (await response.json())["choices"][0]["logprobs"]["content"]
    assert len(content) == 6
    assert content[0]["token"] == "<|im_start|>"  # noqa: S105
    assert content[1] == {
        "token": "s",
        "logprob": -0.5,
        "bytes": [115],
        "top_logprobs": [
            {"token": "s", "logprob": -0.5, "bytes": [115]},
            {"token": "t", "logprob": -1.0, "bytes": [116]},
        ],
    }


async def test_a_token_that_is_part_of_a_character_is_told_by_its_bytes(front):
    async with front.complete("é", logprobs=0, max_tokens=2) as response:
        (choice,) = (await response.json())["choices"]
    assert choice["text"] == "é"
    assert choice["logprobs"]["token_logprobs"] == [-0.5, -0.5]
    async with front.chat("é", logprobs=True, max_tokens=60, ignore_eos=True) as response:
        content = (await response.json())["choices"][0]["logprobs"]["content"]
    pair = next(at for at, token in enumerate(content) if token["bytes"] == [0xC3])
    assert bytes(content[pair]["bytes"] + content[pair + 1]["bytes"]).decode() == "é"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_logprobs_of_a_completion_have_offsets(front, stream):
    async with front.complete("abc", logprobs=1, max_tokens=5, stream=stream) as response:
        if stream:
            found = [
                choice["logprobs"] for choice in by_index(await events(response))[0] if choice["logprobs"]
            ]
            joined = {key: [item for part in found for item in part[key]] for key in found[0]}
        else:
            joined = (await response.json())["choices"][0]["logprobs"]
    assert joined == {
        "tokens": list("abcab"),
        "token_logprobs": [-0.5] * 5,
        "top_logprobs": [{letter: -0.5} for letter in "abcab"],
        "text_offset": [0, 1, 2, 3, 4],
    }


async def test_tokens_behind_a_stop_string_have_no_logprobs(front):
    async with front.complete("abcdef", logprobs=0, max_tokens=50, stop=["cd"]) as response:
        (choice,) = (await response.json())["choices"]
    assert choice["text"] == "ab"
    assert choice["logprobs"]["tokens"] == list("abcd")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_echo_puts_the_prompt_before_its_answer(front, stream):
    async with front.complete(["ab", [66, 67]], echo=True, max_tokens=2, stream=stream) as response:
        if stream:
            found = by_index(await events(response))
            texts = ["".join(choice["text"] for choice in found[index]) for index in range(2)]
        else:
            texts = [choice["text"] for choice in (await response.json())["choices"]]
    assert texts[0] == "abab"
    assert len(texts[1]) == 4
    assert texts[1][:2] == texts[1][2:]


async def test_a_token_id_may_end_an_answer_and_is_no_text(front):
    async with front.complete([64, 65, 66], stop_token_ids=[66], max_tokens=10) as response:
        whole = await response.json()
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert len(whole["choices"][0]["text"]) == 2
    assert whole["usage"]["completion_tokens"] == 3


async def test_tools_and_calls_reach_the_template(tmp_path):
    directory = write_tokenizer(tmp_path, template=TOOLS)
    calls = [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    ]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "sun", "tool_call_id": "1"},
    ]
    body = {"model": "chat", "messages": messages, "tools": [WEATHER], "max_tokens": 1}
    async with front_end(echo_engine(directory)) as front:
        counts = {}
        for choice in ("auto", "none"):
            async with front.client.post(
                "/v1/chat/completions", json={**body, "tool_choice": choice}
            ) as response:
                counts[choice] = (await response.json())["usage"]["prompt_tokens"]
    told = "user=Hi.assistant=weather(Rome).tool=sun1."
    assert counts == {"auto": len('weather:{"type": "object"};' + told), "none": len(told)}
