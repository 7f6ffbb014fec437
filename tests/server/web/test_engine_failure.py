"""The engine dies; the front end lives, says so, and has another."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from realtime_serve.generation import served
from tests.support.echo_engine import echo_engine
from tests.support.front_end import events, front_end, state

LONG = {"max_tokens": 2000, "ignore_eos": True}


@pytest.fixture
async def slow(directory, monkeypatch):
    monkeypatch.setattr(served, "FIRST_PAUSE_SECONDS", 0.2)
    async with front_end(echo_engine(directory, step_seconds=0.005)) as running:
        yield running


def kill_engine() -> None:
    (engine,) = [child for child in psutil.Process().children() if "--fd" in child.cmdline()]
    engine.kill()


async def test_streams_end_with_an_error_event_and_the_next_engine_serves(slow):
    whole = asyncio.create_task(ask(slow))
    async with slow.complete("abc", stream=True, **LONG) as stream:
        await slow.settle(lambda status: status["queues"]["chat"]["running"] == 2)
        kill_engine()
        *_chunks, last = await events(stream)
    assert last["error"]["code"] == "engine_error"
    assert (await whole)[0] == 503
    async with slow.client.get("/health") as response:
        assert (response.status, (await response.json())["status"]) == (503, "failed")
    assert state(await slow.status()) == "failed"
    await slow.settle(lambda status: state(status) == "ready")
    async with slow.complete("abc", max_tokens=4) as response:
        assert (await response.json())["choices"][0]["text"] == "abca"
    async with slow.client.get("/health") as response:
        assert response.status == 200


async def test_the_next_engine_has_the_settings_of_the_last(slow):
    await slow.set(batching={"maxBatchSize": 1, "maxWaitMs": 0})
    kill_engine()
    await slow.settle(lambda status: state(status) == "failed")
    await slow.settle(lambda status: state(status) == "ready")
    async with (
        slow.complete("abc", stream=True, **LONG) as first,
        slow.complete("abc", stream=True, **LONG) as second,
    ):
        await slow.settle(lambda status: status["queues"]["chat"] == {"waiting": 1, "running": 1})
        first.close()
        second.close()


async def ask(front):
    async with front.complete("abc", **LONG) as response:
        return response.status, await response.json()
