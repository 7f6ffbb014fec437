"""What a user of the openai client does, check by check, with the blocking client and the other one."""

from __future__ import annotations

import asyncio
import traceback

import openai
import pytest

from tests.server.web import client_checks, client_refusals
from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end

CHECKS = (*client_checks.check, *client_refusals.check)


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
