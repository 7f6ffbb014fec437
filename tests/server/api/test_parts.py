"""The parts under their public names, each used alone."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve import (
    BatchConfig,
    BatchScheduler,
    InferenceRequest,
    ModelConfig,
    RateLimiter,
    RequestLogger,
    RequestPriority,
    ServerConfig,
    StreamManager,
    StreamToken,
)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def ask(prompt="x", **fields):
    return InferenceRequest(model="m", prompt=prompt, **fields)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ModelConfig(name=""), "name"),
        (lambda: ModelConfig(name="a"), "model_path"),
        (lambda: ModelConfig(name="a", loader="l", device="tpu"), "device"),
        (lambda: ModelConfig(name="a", loader="l", dtype="int3"), "dtype"),
        (lambda: ModelConfig(name="a", model_path="m", sha256="ff"), "sha256"),
        (lambda: ModelConfig(name="a", model_path="m", compile="on"), "compile"),
        (lambda: BatchConfig(max_batch_size=True), "max_batch_size"),
        (lambda: BatchConfig(max_batch_size=4, min_batch_size=5), "min_batch_size"),
        (lambda: BatchConfig(max_wait_ms=-1), "max_wait_ms"),
        (lambda: ServerConfig(port=70_000), "port"),
        (lambda: ServerConfig(request_timeout=float("nan")), "request_timeout"),
        (lambda: ServerConfig.from_environment({"REALTIME_SERVE_PORT": "http"}), "REALTIME_SERVE_PORT"),
        (RateLimiter, "tokens_per_minute"),
        (lambda: RateLimiter(tokens_per_minute=0), "tokens_per_minute"),
        (lambda: StreamManager(buffer_tokens=0), "buffer_tokens"),
        (lambda: RequestLogger("loud"), "level"),
        (lambda: ask(""), "prompt"),
        (lambda: ask(top_p=0), "top_p"),
        (lambda: ask(max_tokens=0), "max_tokens"),
    ],
)
def test_a_wrong_value_is_told_with_its_field_at_construction(make, field):
    with pytest.raises(ValueError, match=field):
        make()


@given(st.lists(st.sampled_from(RequestPriority), max_size=30), st.integers(1, 8))
def test_every_request_is_in_one_batch_and_none_waits_behind_a_lower_class(priorities, size):
    async def run():
        scheduler = BatchScheduler(BatchConfig(max_batch_size=size), clock=Clock())
        for number, priority in enumerate(priorities):
            await scheduler.enqueue(ask(str(number), priority=priority))
        batches = []
        while scheduler.stats() and scheduler.stats()["m"].waiting:
            batches.append(await scheduler.get_batch("m"))
        return batches

    batches = asyncio.run(run())
    taken = [request for batch in batches for request in batch]
    assert all(len(batch) <= size for batch in batches)
    assert sorted(int(request.prompt) for request in taken) == list(range(len(priorities)))
    assert [request.priority for request in taken] == sorted(priorities)


async def test_a_low_request_gets_through_however_many_high_ones_come():
    clock = Clock()
    scheduler = BatchScheduler(BatchConfig(max_batch_size=1), clock=clock)
    await scheduler.enqueue(ask("low", priority=RequestPriority.LOW))
    for _ in range(100):
        await scheduler.enqueue(ask("high", priority=RequestPriority.HIGH))
        (request,) = await scheduler.get_batch("m")
        if request.prompt == "low":
            return
        clock.now += 1
    raise AssertionError("it starved")


async def test_a_batch_forms_when_it_is_full_and_else_when_the_wait_ends():
    config = BatchConfig(max_batch_size=2, min_batch_size=2, max_wait_ms=10_000, dynamic_batching=False)
    scheduler = BatchScheduler(config)
    await scheduler.enqueue(ask("a"))
    waiting = asyncio.create_task(scheduler.get_batch("m"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await scheduler.enqueue(ask("b"))
    assert [request.prompt for request in await waiting] == ["a", "b"]
    hasty = BatchScheduler(BatchConfig(max_batch_size=2, min_batch_size=2, max_wait_ms=1))
    await hasty.enqueue(ask("alone"))
    assert [request.prompt for request in await hasty.get_batch("m")] == ["alone"]


async def test_who_pushes_waits_for_a_reader_that_lags_by_a_buffer():
    streams = StreamManager(buffer_tokens=2)
    reader = streams.create_stream("s")
    for word in ("a", "b"):
        await streams.push_token("s", StreamToken(word))
    pushing = asyncio.create_task(streams.push_token("s", StreamToken("c", id=7, logprob=-0.5)))
    await asyncio.sleep(0)
    assert not pushing.done()
    assert (await anext(reader)).text == "a"
    await pushing
    await streams.close_stream("s")
    assert [token async for token in reader] == [StreamToken("b"), StreamToken("c", id=7, logprob=-0.5)]
    with pytest.raises(KeyError, match="no open stream"):
        await streams.push_token("s", StreamToken("d"))


@pytest.mark.parametrize("side", ["reader waits", "reader never came"])
async def test_a_stream_in_which_nothing_moves_is_ended_and_forgotten(side):
    clock = Clock()
    streams = StreamManager(idle_timeout=60, clock=clock)
    reader = streams.create_stream("s")
    waiting = asyncio.create_task(anext(reader, None)) if side == "reader waits" else None
    await asyncio.sleep(0)
    assert await streams.cleanup() == []
    clock.now = 60
    assert await streams.cleanup() == ["s"]
    if waiting is not None:
        assert await waiting is None
    clock.now = 121
    assert await streams.cleanup() == []
    assert streams.stats() == {}


async def test_buckets_are_each_clients_own_and_fill_again():
    clock = Clock()
    limiter = RateLimiter(tokens_per_minute=60, clock=clock)
    assert await limiter.check_rate_limit("a", tokens=60)
    assert not await limiter.check_rate_limit("a")
    assert await limiter.check_rate_limit("b")
    clock.now = 1.0
    assert await limiter.check_rate_limit("a")


def test_a_line_of_log_is_json_with_its_fields(capsys):
    before = logging.root.handlers[:], logging.root.level
    try:
        logger = RequestLogger("info")
        logger.install()
        logger.log("hello", client="somebody")
    finally:
        logging.root.handlers[:] = before[0]
        logging.root.setLevel(before[1])
    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["client"], line["level"]) == ("hello", "somebody", "info")
