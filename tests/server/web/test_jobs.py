"""Jobs over HTTP: begun once, read by anybody who comes (back), ended with a reason."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from realtime_serve.jobs.card import new_job_id
from realtime_serve.jobs.memory import MemoryStore
from tests.support.echo_engine import echo_engine
from tests.support.event_source import EventSource
from tests.support.front_end import PATIENCE, front_end, text_of, until
from tests.support.jobs import ask, begin, cancel, card, idle, source

pytestmark = pytest.mark.slow

LONG = {"max_tokens": 1500, "ignore_eos": True}


@pytest.fixture
async def slow(directory):
    """5 ms a step, one sequence at a time."""
    batching = {"maxBatchSize": 1, "maxWaitMs": 0}
    async with front_end(echo_engine(directory, step_seconds=0.005), batching=batching) as running:
        yield running


async def test_a_job_answers_with_its_id_and_where_its_stream_is(front):
    answer = await begin(front, max_tokens=4)
    assert answer == {
        "job_id": answer["job_id"],
        "stream_url": f"/v1/stream?job_id={answer['job_id']}",
    }


async def test_a_stream_has_the_text_in_events_with_ids_and_one_last_event(front):
    reader = await source(front, max_tokens=200)
    async with front.client.get(f"/v1/stream?job_id={reader.job_id}") as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["X-Job-Id"] == reader.job_id
        assert (await response.content.readuntil(b"\n\n")) == b"retry: 1000\n\n"
    await reader.read()
    assert reader.text == ("abc" * 100)[:200]
    assert [event.name for event in reader.seen[:2]] == ["job_started", "token"]
    assert reader.seen[0].json == {"job_id": reader.job_id, "model": "chat", "version": "1.0.0"}
    end = reader.end.json
    assert (reader.end.name, end["state"], end["reason"]) == ("job_complete", "complete", "length")
    assert end["usage"] == {"prompt_tokens": 3, "completion_tokens": 200, "total_tokens": 203}
    times = end["metrics"]
    assert times["t_start"] <= times["t_first"] <= times["t_last"]
    assert times["ttft_seconds"] > 0
    assert times["tokens_per_second"] > 0
    assert times["queue_depth"] == 0


async def test_a_job_may_be_a_chat(front):
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    status, answer = await ask(front, "/v1/jobs", method="POST", json=body)
    assert status == 202
    assert (await card(front, answer["job_id"]))["kind"] == "chat"


@pytest.mark.parametrize("seed", range(4))
async def test_a_reader_that_is_cut_again_and_again_misses_nothing(slow, seed):
    chance = random.Random(seed)
    reader = await source(slow, f"<{seed}>", max_tokens=120)
    for _ in range(chance.randint(1, 4)):
        await reader.read(chance.randint(1, 25))
    await reader.read()
    assert reader.text == (f"<{seed}>" * 60)[:120]


async def test_several_readers_read_the_same_from_wherever_they_begin(slow):
    first = await source(slow, max_tokens=100)
    await first.read(20)
    others = [EventSource(slow.client, first.job_id) for _ in range(3)]
    await asyncio.gather(first.read(), *[other.read() for other in others])
    assert {reader.text for reader in [first, *others]} == {("abc" * 50)[:100]}


async def test_a_query_says_where_to_begin_and_a_header_says_it_later(front):
    reader = await source(front, max_tokens=20)
    await reader.read()
    target = f"/v1/stream?job_id={reader.job_id}&last_event_id=1"
    async with front.client.get(target) as response:
        assert b"id: 2\n" in (whole := await response.read())
        assert b"id: 1\n" not in whole
    last = {"Last-Event-ID": str(reader.last_id - 1)}
    async with front.client.get(target, headers=last) as response:
        assert (await response.read()).count(b"id: ") == 1


async def test_after_the_end_with_nothing_left_there_is_no_content(front):
    reader = await source(front, max_tokens=5)
    await reader.read()
    assert await reader.read() == 204


@pytest.mark.parametrize("wrong", ["-1", "x", "1.5", "9" * 16])
async def test_a_position_that_is_none_is_refused(front, wrong):
    job_id = (await begin(front, max_tokens=5))["job_id"]
    status, answer = await ask(front, f"/v1/stream?job_id={job_id}", headers={"Last-Event-ID": wrong})
    assert (status, answer["error"]["param"]) == (400, "Last-Event-ID")


async def test_a_position_beyond_the_last_event_is_refused(front):
    reader = await source(front, max_tokens=5)
    await reader.read()
    headers = {"Last-Event-ID": str(reader.last_id + 1)}
    status, answer = await ask(front, f"/v1/stream?job_id={reader.job_id}", headers=headers)
    assert (status, answer["error"]["param"]) == (400, "Last-Event-ID")


async def test_a_job_that_never_was_is_not_found_and_one_that_was_is_gone(front):
    for path in ("/v1/stream?job_id=", "/v1/jobs/"):
        assert (await ask(front, path + "job-1"))[0] == 404
        status, answer = await ask(front, path + new_job_id())
        assert (status, answer["error"]["code"]) == (410, "job_gone")
    assert (await ask(front, "/v1/stream"))[1]["error"]["param"] == "job_id"


async def test_what_a_job_cannot_take_is_told_before_it_begins(front):
    wrong = await begin(front, status=400, max_tokens=0)
    assert wrong["error"]["param"] == "max_tokens"
    assert (await begin(front, prompt="a" * 5000, status=400))["error"]["code"] == "context_length_exceeded"
    assert (await begin(front, model="other", status=404))["error"]["code"] == "model_not_found"
    await idle(front)


async def test_a_queued_job_is_kept_alive_and_says_that_it_waits(slow):
    await slow.set(batching={"maxBatchSize": 1, "maxWaitMs": 0}, streaming={"heartbeatSeconds": 1})
    first, second = await source(slow, **LONG), await source(slow, **LONG)
    assert (await card(slow, second.job_id))["state"] == "queued"
    async with slow.client.get(f"/v1/stream?job_id={second.job_id}&last_event_id=1") as response:
        assert await response.content.readuntil(b"\n\n") == b"retry: 1000\n\n"
        assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
    assert (await cancel(slow, first.job_id))["state"] == "cancelled"
    await second.read(2)
    assert second.seen[-1].name == "token"
    end = await cancel(slow, second.job_id)
    assert end["metrics"]["queue_seconds"] > 0


async def test_a_cancelled_job_ends_at_once_and_says_so_to_its_reader(slow):
    reader = await source(slow, **LONG)
    await reader.read(5)
    reading = asyncio.create_task(reader.read())
    assert (await cancel(slow, reader.job_id))["state"] == "cancelled"
    await reading
    assert (reader.end.name, reader.end.json["reason"]) == ("job_cancelled", "cancelled")
    assert reader.text == ("abc" * 500)[: len(reader.text)]
    assert (await cancel(slow, reader.job_id))["state"] == "cancelled"  # again is no change
    await idle(slow)


async def test_a_queued_job_can_be_cancelled(slow):
    first, second = await source(slow, **LONG), await source(slow, **LONG)
    await cancel(slow, second.job_id)
    await second.read()
    assert [event.name for event in second.seen] == ["job_started", "job_cancelled"]
    await cancel(slow, first.job_id)


async def test_a_job_that_nobody_reads_for_the_resume_window_is_cancelled(slow):
    await slow.set(batching={"maxBatchSize": 1, "maxWaitMs": 0}, streaming={"resumeWindowSeconds": 2})
    reader = await source(slow, **LONG)
    await reader.read(3)
    await idle(slow)
    await reader.read()
    assert (reader.end.name, reader.end.json["reason"]) == ("job_cancelled", "no_reader")


async def test_a_job_whose_reader_comes_back_in_time_goes_on(directory):
    now = [0.0]
    streaming = {"resumeWindowSeconds": 60}
    store = MemoryStore(lambda: 60, clock=lambda: now[0])
    async with front_end(
        echo_engine(directory, step_seconds=0.002), store=store, streaming=streaming
    ) as front:
        reader = await source(front, **LONG)

        async def away_for(seconds):
            await reader.read(3)
            await until(lambda: asyncio.sleep(0, store._rings[reader.job_id].readers), lambda left: not left)
            now[0] += seconds
            return await store.orders([reader.job_id])

        assert not await away_for(59)
        assert not await away_for(59)
        assert await away_for(60)
        await cancel(front, reader.job_id)


async def test_an_engine_that_dies_ends_its_jobs_with_the_reason(slow):
    reader = await source(slow, **LONG)
    await reader.read(3)
    slow.serving.models.first.current.loaded.engine._process.kill()
    await reader.read()
    assert (reader.end.name, reader.end.json["reason"]) == ("job_error", "engine_error")
    assert reader.text == ("abc" * 500)[: len(reader.text)]


async def test_a_drain_waits_for_jobs_and_for_their_readers(slow):
    reader = await source(slow, max_tokens=200)
    reading = asyncio.create_task(reader.read())
    slow.serving.drain.terminate()
    await slow.serving.finish(PATIENCE)
    await reading
    assert len(reader.text) == 200
    assert reader.end.name == "job_complete"


async def test_a_job_cut_by_the_end_of_the_server_says_so(slow):
    reader = await source(slow, **LONG)
    reading = asyncio.create_task(reader.read())
    await slow.serving.finish(0.05)
    await reading
    assert (reader.end.name, reader.end.json["reason"]) == ("job_error", "server_shutdown")


async def test_each_job_is_one_line_of_log(front, caplog):
    caplog.set_level("INFO", "realtime_serve.jobs")
    reader = await source(front, max_tokens=7)
    await reader.read()
    lines = [record.fields for record in caplog.records if record.name == "realtime_serve.jobs"]
    assert len(lines) == 1
    assert lines[0]["job_id"] == reader.job_id
    assert "message" not in lines[0]  # it would take the place of the line's own
    assert (lines[0]["state"], lines[0]["reason"], lines[0]["version"]) == ("complete", "length", "1.0.0")
    assert lines[0]["usage"]["completion_tokens"] == 7
    assert {"t_start", "t_first", "t_last", "ttft_seconds", "tokens_per_second", "queue_depth"} <= set(
        lines[0]
    )


@pytest.mark.parametrize("kind", ["chat", "complete"])
async def test_an_openai_stream_can_be_taken_up_again(slow, kind):
    plain = {"max_tokens": 60, "stream": True, "stream_options": {"include_usage": True}}
    path = "/v1/chat/completions" if kind == "chat" else "/v1/completions"
    asked = {"messages": [{"role": "user", "content": "Hello"}]} if kind == "chat" else {"prompt": "abc"}
    body = {"model": "chat", **asked, **plain}
    async with slow.client.post(path, json=body) as response:
        whole = await response.read()
    async with slow.client.post(path, json=body, headers={"X-Resumable": "true"}) as response:
        reader = EventSource(slow.client, response.headers["X-Job-Id"])
        await reader._take(response, 10)
        response.close()
    await reader.read(10)
    await reader.read()
    assert reader.end.name == "job_complete"
    *events, done, _end = reader.seen
    assert done.data == "[DONE]"
    assert all(event.name == "" for event in reader.seen[1:-1])
    chunks = [event.json for event in events if event.name == ""]
    expected = [json.loads(line[6:]) for line in whole.decode().splitlines() if line.startswith("data: {")]
    assert text_of(chunks) == text_of(expected)
    assert chunks[-1]["usage"] == expected[-1]["usage"]


async def test_a_stream_says_true_or_false(front):
    async with front.client.post(
        "/v1/completions",
        json={"model": "chat", "prompt": "a", "stream": True},
        headers={"X-Resumable": "yes"},
    ) as response:
        assert (await response.json())["error"]["param"] == "X-Resumable"
