"""The whole server with a real model, a small random one: what a request gets does not depend on its company."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import openai
import pytest

from tests.support.front_end import PATIENCE, events, text_of

PROMPTS = [f"Story {number}: once upon a time" + " there was" * (number % 7) for number in range(32)]


@pytest.fixture
async def client(real_server):
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"http://{real_server.address}", connector=connector) as session:
        yield session


async def tokens(client, prompt: str, **fields) -> str:
    body = {"model": "chat", "prompt": prompt, "max_tokens": 60, "ignore_eos": True, "stream": True} | fields
    async with client.post("/v1/completions", json=body) as response:
        assert response.status == 200, await response.text()
        *chunks, done = await events(response)
    assert done == "[DONE]"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    return text_of(chunks)


@pytest.mark.parametrize(
    "sampling",
    [{"temperature": 0}, {"temperature": 1.3, "top_k": 20, "top_p": 0.9, "seed": 5}],
    ids=["greedy", "sampled with a seed"],
)
async def test_an_answer_in_a_full_batch_is_the_answer_alone(client, sampling):
    alone = [await tokens(client, prompt, **sampling) for prompt in PROMPTS[:4]]
    together = await asyncio.gather(*[tokens(client, prompt, **sampling) for prompt in PROMPTS])
    assert together[:4] == alone
    assert len(set(together)) > len(PROMPTS) // 2


async def test_different_seeds_differ_and_whole_equals_streamed(client):
    texts = [await tokens(client, "abc", temperature=1.5, seed=seed) for seed in (1, 2)]
    assert texts[0] != texts[1]
    body = {
        "model": "chat",
        "prompt": "abc",
        "max_tokens": 60,
        "ignore_eos": True,
        "temperature": 1.5,
        "seed": 1,
    }
    async with client.post("/v1/completions", json=body) as response:
        whole = await response.json()
    assert whole["choices"][0]["text"] == texts[0]
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 60, "total_tokens": 63}


async def test_clients_that_leave_take_their_sequences_along(client):
    body = {"model": "chat", "prompt": "abc", "max_tokens": 250, "ignore_eos": True, "stream": True}
    responses = await asyncio.gather(*[client.post("/v1/completions", json=body) for _ in range(16)])
    for response in responses:
        response.close()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with client.get("/status") as response:
            status = await response.json()
        if status["streams"]["active"] == 0 and status["queues"]["chat"] == {"waiting": 0, "running": 0}:
            return
    pytest.fail(str(status))


def test_the_sync_client_chats_and_completes(real_server):
    with openai.OpenAI(base_url=f"http://{real_server.address}/v1", api_key="none") as client:
        messages = [{"role": "user", "content": "Hi"}]
        options = {"include_usage": True}
        stream = client.chat.completions.create(
            model="chat", messages=messages, max_tokens=9, temperature=0, stream=True, stream_options=options
        )
        chunks = list(stream)
        whole = client.chat.completions.create(model="chat", messages=messages, max_tokens=9, temperature=0)
        plain = client.completions.create(model="chat", prompt="abc", max_tokens=9, stream=True)
        assert sum(bool(chunk.choices[0].finish_reason) for chunk in plain) == 1
        with pytest.raises(openai.BadRequestError, match="context length is 256"):
            client.completions.create(model="chat", prompt="a" * 300)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
