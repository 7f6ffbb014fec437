"""The client and a real engine process: streams, aborts, readers that lag, and every way in which the process can end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable

import psutil
import pytest

from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Configure, FinishReason, Sampling, Step, TokenLogprob
from realtime_serve.engine.streams import TokenStream
from realtime_serve.errors import EngineFailed, EngineGone
from tests.support.echo_engine import END, echo_engine

pytestmark = pytest.mark.slow

GREEDY = Sampling(temperature=0.0)
PATIENCE = 30.0


@pytest.fixture
async def engine(tmp_path) -> AsyncIterator[Engine]:
    running = echo_engine(tmp_path, step_seconds=0.001)()
    await running.start()
    yield running
    await running.stop()


def submit(engine: Engine, prompt: list[int], max_tokens: int, **more) -> TokenStream:
    return engine.submit(prompt, sampling=GREEDY, max_tokens=max_tokens, stop_ids=[], **more)


async def read(stream: TokenStream) -> tuple[list[int], FinishReason | None, str]:
    tokens, finish, error = [], None, ""
    async with asyncio.timeout(PATIENCE):
        async for news in stream:
            tokens += news.tokens
            finish, error = news.finish, news.error
    return tokens, finish, error


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # what is awaited shows in the numbers alone
            await asyncio.sleep(0.005)


def process_of(engine: Engine) -> psutil.Process:
    return psutil.Process(engine._process.pid)


async def test_many_streams_get_their_own_tokens(engine):
    streams = [submit(engine, [number, number + 1], 40) for number in range(50)]
    for number, outcome in enumerate(await asyncio.gather(*map(read, streams))):
        assert outcome == ([number, number + 1] * 20, FinishReason.LENGTH, "")


async def test_logprobs_come_beside_the_tokens_for_those_who_ask(engine):
    wanted = Sampling(temperature=0.0, logprobs=2)
    asks = engine.submit([4, 5], sampling=wanted, max_tokens=30, stop_ids=[])
    silent = submit(engine, [4, 5], 30)
    async with asyncio.timeout(PATIENCE):
        heard = [pair async for news in asks for pair in zip(news.tokens, news.logprobs, strict=True)]
        assert not any([news.logprobs async for news in silent])
    assert [token for token, _ in heard] == [4, 5] * 15
    assert heard[1][1] == TokenLogprob(-0.5, [(5, -0.5), (6, -1.0)])


async def test_steps_tell_what_the_cache_holds_and_what_of_a_prompt_was_in_it(tmp_path):
    steps: list[Step] = []
    running = echo_engine(tmp_path, on_step=steps.append)()
    await running.start()
    try:
        beginning = [*range(64)]
        await read(submit(running, [*beginning, 1], 3))
        assert running.stats.kv_usage == 0.0
        await read(submit(running, [*beginning, 2], 3))
        assert [step.prefix_queries for step in steps if step.started] == [65, 65]
        assert [step.prefix_hits for step in steps if step.started] == [0, 64]
        assert max(step.kv_usage for step in steps) == 5 / 4096
        assert running.stats.kv_usage == 0.0
    finally:
        await running.stop()


async def test_end_tokens_are_passed_over_on_request(engine):
    prompt = [7, END, 8]
    stops = engine.submit(prompt, sampling=GREEDY, max_tokens=6, stop_ids=[END])
    goes_on = engine.submit(
        prompt, sampling=Sampling(temperature=0.0, ignore_eos=True), max_tokens=6, stop_ids=[END]
    )
    assert await read(stops) == ([7, END], FinishReason.STOP, "")
    assert await read(goes_on) == (prompt * 2, FinishReason.LENGTH, "")


async def test_an_abort_takes_the_sequence_out_and_leaves_the_others(engine):
    gone, stays = submit(engine, [1], 2000), submit(engine, [2], 60)
    await anext(gone)
    gone.abort()
    gone.abort()
    assert (await read(gone))[1] == FinishReason.ABORT
    assert await read(stays) == ([2] * 60, FinishReason.LENGTH, "")
    await until(lambda: (engine.stats.running, engine.stats.waiting) == (0, 0))


async def test_an_abort_after_the_end_and_before_the_first_token_are_both_right(engine):
    ended = submit(engine, [1], 1)
    assert (await read(ended))[1] == FinishReason.LENGTH
    ended.abort()
    early = submit(engine, [1], 2000)
    early.abort()
    assert await read(early) == ([], FinishReason.ABORT, "")
    assert (await read(submit(engine, [3], 5)))[0] == [3] * 5
    await until(lambda: engine.stats.running == 0)


async def test_a_reader_that_lags_holds_its_own_sequence_and_misses_no_token(engine):
    slow, quick = submit(engine, [1, 2, 3], 300, buffer_tokens=10), submit(engine, [4], 300)
    assert (await read(quick))[0] == [4] * 300
    steps = engine.stats.steps
    assert (await read(submit(engine, [5], 50)))[0] == [5] * 50
    assert engine.stats.steps > steps
    assert len(slow._unread) < 20, "the engine went on although nobody reads"
    assert await read(slow) == ([1, 2, 3] * 100, FinishReason.LENGTH, "")


async def test_settings_apply_while_streams_run(engine):
    streams = [submit(engine, [number], 400) for number in range(8)]
    await until(lambda: engine.stats.running == 8)
    await engine.configure(Configure(max_batch_size=2))
    late = submit(engine, [9], 3)
    assert all(outcome[1] == FinishReason.LENGTH for outcome in await asyncio.gather(*map(read, streams)))
    assert (await read(late))[0] == [9] * 3


@pytest.mark.parametrize(
    "prompt", [[], [1] * 5000, [-1], [10**6]], ids=["empty", "too long", "below 0", "unknown"]
)
async def test_a_prompt_that_cannot_run_ends_with_a_reason_and_harms_nobody(engine, prompt):
    other = submit(engine, [2], 60)
    tokens, finish, error = await read(submit(engine, prompt, 4))
    assert (tokens, finish) == ([], FinishReason.ERROR)
    assert "prompt" in error
    assert (await read(other))[0] == [2] * 60


async def test_a_killed_engine_ends_every_stream_with_the_reason(engine):
    streams = [submit(engine, [number], 2000) for number in range(20)]
    await anext(streams[0])
    process_of(engine).kill()
    outcomes = await asyncio.gather(*map(read, streams))
    assert {outcome[1] for outcome in outcomes} == {FinishReason.ERROR}
    assert all("exit status -9" in outcome[2] for outcome in outcomes)
    failure = await asyncio.wait_for(engine.wait_failed(), PATIENCE)
    assert (failure.reason, engine.stats.alive) == ("EngineDied", False)
    with pytest.raises(EngineGone):
        submit(engine, [1], 1)
    streams[0].abort()


async def test_an_engine_killed_before_it_read_its_messages_is_noticed_too(engine):
    process = process_of(engine)
    process.suspend()
    streams = [submit(engine, [1] * 1000, 9) for _ in range(8)]
    await asyncio.sleep(0)  # the writes are on their way; the process cannot read them
    process.kill()
    assert {(await read(stream))[1] for stream in streams} == {FinishReason.ERROR}


async def test_an_engine_that_stands_still_with_work_in_hand_counts_as_dead(tmp_path):
    engine = echo_engine(tmp_path, step_seconds=0.001, wedged_seconds=0.3)()
    await engine.start()
    process = process_of(engine)
    process.suspend()
    _tokens, finish, error = await read(submit(engine, [1], 2000))
    assert finish == FinishReason.ERROR
    assert "silent" in error
    assert (await engine.wait_failed()).reason == "EngineWedged"
    await engine.stop()
    assert not process.is_running()


async def test_the_end_of_its_socket_is_the_end_of_the_engine(tmp_path):
    engine = echo_engine(tmp_path)()
    await engine.start()
    process = process_of(engine)
    engine._writer.close()
    await asyncio.to_thread(process.wait, PATIENCE)


async def test_stop_ends_the_process_and_its_streams(engine):
    process, stream = process_of(engine), submit(engine, [1], 2000)
    await anext(stream)
    await engine.stop()
    assert not process.is_running()
    assert (await read(stream))[1] == FinishReason.ERROR
    await engine.stop()


async def test_a_process_that_does_not_start_says_so(tmp_path):
    engine = Engine(command=["/bin/sh", "-c", "exit 3"], load=echo_engine(tmp_path)()._load)
    with pytest.raises(EngineFailed, match="exit status 3"):
        await engine.start()
    await engine.stop()


async def test_an_engine_may_have_a_socket_of_any_number(tmp_path):
    """A front end with a thousand connections starts its engine anew."""
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        engine = echo_engine(tmp_path)()
        await engine.start()
    finally:
        for number in files:
            os.close(number)
    assert (await read(submit(engine, [1], 3)))[0] == [1] * 3
    await engine.stop()
