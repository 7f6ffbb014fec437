"""The bench's clients against a server that answers at a pace of its own."""

import asyncio
import json
from contextlib import asynccontextmanager

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.load import Answer, closed_loop, open_loop
from bench.servers import Server


@asynccontextmanager
async def serving(reason="length"):
    """A server of three tokens, and the bodies of its requests."""
    bodies = []

    async def complete(request):
        bodies.append(await request.json())
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            choice = {"text": "word", "finish_reason": reason if number == 2 else None}
            await response.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
            await asyncio.sleep(0.01)
        await response.write(b"data: [DONE]\n\n")
        return response

    application = web.Application()
    application.router.add_post("/v1/completions", complete)
    async with TestServer(application) as started:
        extra = {"ignore_eos": True}
        yield Server("stub", str(started.make_url("")).rstrip("/"), "model", psutil.Process(), extra), bodies


async def test_an_open_loop_sends_at_its_own_moments_and_waits_for_every_answer():
    async with serving() as (server, bodies):
        run = await open_loop(server, ["a", "b", "c", "d"], 3, rate=200.0, seed=1)
    assert sorted(body["prompt"] for body in bodies) == ["a", "b", "c", "d"]
    assert all(body["ignore_eos"] and body["max_tokens"] == 3 for body in bodies)
    assert [len(answer.events) for answer in run.answers] == [3] * 4
    begins = [answer.begin for answer in run.answers]
    assert begins == sorted(begins)


@pytest.mark.parametrize("load", [closed_loop, open_loop])
async def test_an_answer_that_ends_early_is_no_measurement(load):
    async with serving(reason="stop") as (server, _):
        with pytest.raises(RuntimeError, match="ended by stop"):
            await (load(server, ["a"], 3, 1) if load is closed_loop else load(server, ["a"], 3, 200.0, 1))


def test_the_pace_is_that_of_the_tokens_after_the_first():
    answer = Answer(begin=1.0, events=(1.5, 1.6, 2.5))
    assert answer.first == 0.5
    assert answer.pace(11) == pytest.approx(0.1)
