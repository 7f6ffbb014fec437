"""Limits are read at each request, and overload is told at the door."""

from __future__ import annotations

import contextlib

import pytest

from realtime_serve.settings.runtime import Batching, Limits, Streaming
from tests.support.echo_engine import echo_engine
from tests.support.echo_process import EchoProcess
from tests.support.front_end import front_end
from tests.support.live_changes import CALLERS, SECTIONS, by_section, change_each

LONG = {"max_tokens": 2000, "ignore_eos": True, "stream": True}


@pytest.fixture
async def slow(directory):
    async with front_end(echo_engine(directory, step_seconds=0.005)) as running:
        yield running


async def refusal(front):
    async with front.complete("abc", max_tokens=1) as response:
        return (
            response.status,
            response.headers.get("Retry-After"),
            (await response.json()).get("error", {}).get("code"),
        )


async def test_a_limit_takes_effect_at_the_next_request_and_cuts_nobody(slow):
    async with contextlib.AsyncExitStack() as streams:
        running = [await streams.enter_async_context(slow.complete("abc", **LONG)) for _ in range(3)]
        assert await refusal(slow) == (200, None, None)
        await slow.set(generation=2, limits={"maxConnections": 3})
        assert await refusal(slow) == (503, "1", "overloaded")
        assert (await slow.status())["settings_generation"] == 2
        assert (await slow.status())["streams"]["active"] == 3
        await slow.set(generation=3)
        assert await refusal(slow) == (200, None, None)
        for response in running:
            response.close()


async def test_a_full_batch_and_a_full_queue_refuse_the_next(slow):
    await slow.set(batching={"maxBatchSize": 1}, limits={"maxQueue": 1})
    async with slow.complete("abc", **LONG) as first, slow.complete("abc", **LONG) as second:
        await slow.settle(lambda status: status["queues"]["chat"] == {"waiting": 1, "running": 1})
        assert await refusal(slow) == (503, "1", "overloaded")
        first.close()
        second.close()


async def test_an_overloaded_server_still_answers_its_probes(slow):
    await slow.set(limits={"maxConnections": 1})
    async with slow.complete("abc", **LONG) as stream:
        for path in ("/health", "/ready", "/status", "/metrics", "/models", "/v1/models"):
            async with slow.client.get(path) as response:
                assert response.status == 200, path
        stream.close()


async def test_the_limit_of_tokens_is_live(slow):
    await slow.set(limits={"maxTokens": 4})
    async with slow.complete("abc", max_tokens=5) as response:
        assert response.status == 400
    async with slow.complete("abc") as response:
        assert (await response.json())["usage"]["completion_tokens"] == 4


async def test_the_batch_size_is_live(slow):
    await slow.set(batching={"maxBatchSize": 1, "maxWaitMs": 0})
    async with slow.complete("abc", **LONG) as first, slow.complete("abc", **LONG) as second:
        await slow.settle(lambda status: status["queues"]["chat"] == {"waiting": 1, "running": 1})
        await slow.set(batching={"maxBatchSize": 2, "maxWaitMs": 0})
        await slow.settle(lambda status: status["queues"]["chat"] == {"waiting": 0, "running": 2})
        first.close()
        second.close()


async def test_every_setting_changes_under_load_and_no_request_notices(directory, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text("{}")
    environment = {"REALTIME_SERVE_SETTINGS": str(file)}
    async with EchoProcess(directory, step_seconds=0.001, environment=environment) as server:
        answers, changes = await change_each(server, file, by_section())
    assert len(changes) == len(SECTIONS)
    assert answers >= CALLERS * len(changes)


def test_no_setting_is_left_out_of_the_changes():
    for section, kind in (("batching", Batching), ("limits", Limits), ("streaming", Streaming)):
        assert set(SECTIONS[section]) == set(kind.__struct_encode_fields__)
