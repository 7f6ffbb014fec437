"""The engine dies; the front end lives, says so, and has another."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from realtime_serve.engine.worker import FAILED_STEPS
from realtime_serve.generation import served
from tests.support.echo_engine import FAULT, echo_engine
from tests.support.front_end import events, front_end, state

pytestmark = pytest.mark.slow

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


def break_next_step(directory, kind: str) -> None:
    (directory / "new").write_text(kind)
    (directory / "new").rename(directory / FAULT)  # whole, or not there


async def test_a_step_that_raises_ends_its_streams_with_the_reason_and_the_engine_goes_on(slow, directory):
    async with slow.complete("abc", stream=True, **LONG) as stream:
        await slow.settle(lambda status: status["queues"]["chat"]["running"] == 1)
        break_next_step(directory, "raise")
        *_chunks, last = await events(stream)
    assert (last["error"]["code"], last["error"]["type"]) == ("engine_error", "server_error")
    assert "RuntimeError: a bad day" in last["error"]["message"]
    assert state(await slow.status()) == "ready"
    async with slow.client.get("/health") as response:
        assert response.status == 200
    async with slow.complete("abc", max_tokens=4) as response:
        assert (await response.json())["choices"][0]["text"] == "abca"


@pytest.mark.parametrize(("kind", "reason"), [("raise", "StepsFail"), ("memory", "OutOfMemory")])
async def test_an_engine_whose_steps_all_fail_is_started_again(slow, directory, kind, reason):
    for _ in range(FAILED_STEPS):
        break_next_step(directory, kind)
        async with slow.complete("abc", max_tokens=4) as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "engine_error"
    seen = await slow.settle(lambda status: state(status) == "failed")
    assert seen["models"]["chat"]["versions"]["1.0.0"]["message"].startswith(f"{reason}: ")
    await slow.settle(lambda status: state(status) == "ready")
    async with slow.complete("abc", max_tokens=4) as response:
        assert (await response.json())["choices"][0]["text"] == "abca"


async def test_an_engine_that_stands_still_is_killed_and_started_again(directory, monkeypatch):
    monkeypatch.setattr(served, "FIRST_PAUSE_SECONDS", 0.2)
    async with front_end(echo_engine(directory, step_seconds=0.005, wedged_seconds=1.0)) as front:
        async with front.complete("abc", stream=True, **LONG) as stream:
            await front.settle(lambda status: status["queues"]["chat"]["running"] == 1)
            break_next_step(directory, "wedge")
            *_chunks, last = await events(stream)
        assert last["error"]["code"] == "engine_error"
        assert "silent" in last["error"]["message"]
        await front.settle(lambda status: state(status) == "ready")
        async with front.complete("abc", max_tokens=4) as response:
            assert (await response.json())["choices"][0]["text"] == "abca"


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
