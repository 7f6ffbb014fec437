"""Jobs in a real Redis: read from any server, also when the one that ran them is gone."""

from __future__ import annotations

import asyncio
import contextlib
import random

import aiohttp
import pytest

from realtime_serve.errors import StoreUnavailable
from realtime_serve.jobs.card import Card, Timings, new_job_id
from realtime_serve.jobs.event import Event
from realtime_serve.jobs.redis import RedisStore
from tests.support.echo_engine import BACKWARDS, echo_engine
from tests.support.echo_process import EchoProcess
from tests.support.event_source import EventSource
from tests.support.front_end import PATIENCE, front_end, until
from tests.support.redis_server import redis_server
from tests.support.tiny_tokenizers import write_tokenizer

pytestmark = pytest.mark.slow

LONG = {"max_tokens": 1500, "ignore_eos": True}


@contextlib.asynccontextmanager
async def server(directory, url, prefix, *, step_seconds=0.002, window=60.0, **store):
    kept = RedisStore(url, window=lambda: window, longest_job=lambda: 300.0, prefix=prefix, **store)
    async with front_end(echo_engine(directory, step_seconds=step_seconds), store=kept) as running:
        yield running


@contextlib.asynccontextmanager
async def two(directory, redis, prefix, **options):
    async with (
        server(directory, redis.url, prefix, **options) as one,
        server(directory, redis.url, prefix, **options) as other,
    ):
        yield one, other


async def post(front, path, *, key=None, **body):
    headers = {} if key is None else {"Idempotency-Key": key}
    async with front.client.post(path, json=body, headers=headers) as response:
        return response.status, await response.json()


async def begin(front, prompt="abc", *, key=None, **fields) -> str:
    status, answer = await post(front, "/v1/jobs", key=key, model="chat", prompt=prompt, **fields)
    assert status == 202, answer
    return answer["job_id"]


async def card(front, job_id):
    async with front.client.get(f"/v1/jobs/{job_id}") as response:
        return await response.json()


async def test_a_job_is_read_from_any_server_and_a_reader_may_change_over(directory, redis, prefix):
    async with two(directory, redis, prefix) as servers:
        chance = random.Random(7)

        async def one(number: int) -> None:
            begun, *_ = chance.sample(servers, 1)
            reader = EventSource(begun.client, await begin(begun, f"<{number}>", max_tokens=150))
            for _ in range(chance.randint(1, 3)):
                reader.client = chance.choice(servers).client
                await reader.read(chance.randint(1, 40))
            reader.client = chance.choice(servers).client
            await reader.read()
            assert reader.text == (f"<{number}>" * 150)[:150]
            assert reader.end.name == "job_complete"
            assert await reader.read() == 204

        await asyncio.gather(*[one(number) for number in range(20)])


async def test_a_job_is_cancelled_through_any_server(directory, redis, prefix):
    async with two(directory, redis, prefix) as (one, other):
        reader = EventSource(other.client, await begin(one, **LONG))
        await reader.read(5)
        status, _ = await post(other, f"/v1/jobs/{reader.job_id}/cancel")
        assert status in {200, 202}
        await reader.read()
        assert (reader.end.name, reader.end.json["reason"]) == ("job_cancelled", "cancelled")
        assert (await card(one, reader.job_id))["state"] == "cancelled"
        await one.settle(lambda status: status["streams"]["active"] == 0)


async def test_a_queued_job_is_cancelled_through_another_server(directory, redis, prefix):
    async with two(directory, redis, prefix, step_seconds=0.005) as (one, other):
        await one.set(batching={"maxBatchSize": 1, "maxWaitMs": 0})
        await begin(one, **LONG)
        queued = EventSource(other.client, await begin(one, **LONG))
        await post(other, f"/v1/jobs/{queued.job_id}/cancel")
        await queued.read()
        assert [event.name for event in queued.seen] == ["job_started", "job_cancelled"]


async def test_a_key_counts_on_every_server(directory, redis, prefix):
    async with two(directory, redis, prefix) as (one, other):
        job_id = await begin(one, key="k", max_tokens=5)
        assert await begin(other, key="k", max_tokens=5) == job_id
        status, answer = await post(other, "/v1/jobs", key="k", model="chat", prompt="else")
        assert (status, answer["error"]["code"]) == (422, "idempotency_mismatch")
        status, _ = await post(one, "/v1/jobs", key="free", model="chat", prompt="a" * 5000)
        assert status == 400
        await begin(other, key="free", max_tokens=5)


async def test_a_job_without_a_reader_on_any_server_is_cancelled(directory, redis, prefix):
    async with two(directory, redis, prefix, window=3.0, step_seconds=0.01) as (one, other):
        read = EventSource(other.client, await begin(one, **LONG))
        reading = asyncio.create_task(read.read(600))  # twice as long as the window
        unread = EventSource(other.client, await begin(one, **LONG))
        await unread.read(3)
        # Its card is not asked for meanwhile: whoever asks for it has not gone.
        await one.settle(lambda status: status["streams"]["active"] == 1)
        ended = await until(
            lambda: card(other, unread.job_id), lambda seen: seen["state"] not in {"queued", "running"}
        )
        assert ended["reason"] == "no_reader"
        await reading
        assert (await card(other, read.job_id))["state"] == "running"


async def test_an_ended_job_is_kept_for_its_window_only(directory, redis, prefix):
    async with server(directory, redis.url, prefix) as front:
        reader = EventSource(front.client, await begin(front, key="k", max_tokens=5))
        await reader.read()
        with redis.client() as client:
            left = {key: client.ttl(key) for key in client.scan_iter(f"{prefix}*")}
        lease = [key for key in left if b":owner:" in key]
        assert len(left) == 5
        assert all(0 < seconds <= 60 for key, seconds in left.items() if key not in lease)


async def test_events_are_bounded_and_who_comes_too_late_is_told(directory, redis, prefix):
    async with server(directory, redis.url, prefix, events_a_job=10) as front:
        job_id = await begin(front, max_tokens=50)
        await until(lambda: card(front, job_id), lambda seen: seen["state"] == "complete")
        with redis.client() as client:
            assert client.xlen(f"{prefix}{job_id}:events") == 10
        late = EventSource(front.client, job_id)
        assert await late.read() == 410


LEASE = {"ECHO_LEASE_SECONDS": "1"}
OWN = "realtime-serve:"  # the prefix of a server's own process


async def test_when_the_server_of_a_job_dies_another_goes_on_with_it(directory, redis):
    victim = EchoProcess(directory, step_seconds=0.01, redis_url=redis.url, environment=LEASE)
    async with server(directory, redis.url, OWN, step_seconds=0.001) as survivor, victim:
        ended = EventSource(survivor.client, await begin(victim, max_tokens=5))
        await until(lambda: card(victim, ended.job_id), lambda seen: seen["state"] == "complete")
        cut, unread = [EventSource(survivor.client, await begin(victim, "aé🌍", **LONG)) for _ in range(2)]
        chat = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 900}
        _, answer = await post(victim, "/v1/jobs", ignore_eos=True, **chat)
        talk = EventSource(survivor.client, answer["job_id"])
        await asyncio.gather(cut.read(5), talk.read(5))
        reading = asyncio.create_task(cut.read())
        victim.kill()
        await asyncio.wait_for(asyncio.gather(reading, unread.read(), talk.read(), ended.read()), PATIENCE)
        whole = survivor.complete("aé🌍", **LONG)
        async with whole as response:
            text = (await response.json())["choices"][0]["text"]
        assert [cut.text, unread.text] == [text] * 2
        assert cut.end.json["usage"] == {"prompt_tokens": 7, "completion_tokens": 1500, "total_tokens": 1507}
        async with survivor.chat("Hi", max_tokens=900, ignore_eos=True) as response:
            assert talk.text == (await response.json())["choices"][0]["message"]["content"]
        assert ended.text == "abcab"


async def test_a_server_goes_on_with_a_job_when_its_model_is_loaded_and_not_before(directory, redis):
    slow = LEASE | {"ECHO_LOAD_SECONDS": "2"}
    async with EchoProcess(directory, step_seconds=0.01, redis_url=redis.url, environment=slow) as only:
        job = EventSource(only.client, await begin(only, max_tokens=100))
        await job.read(5)
        only.kill()
        starting = asyncio.create_task(only.start())

        async def read_on() -> bool:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                await job.read()
            return job.over

        await until(read_on, bool)
        await starting
        assert job.end.name == "job_complete", job.end
        assert job.text == ("abc" * 34)[:100]


async def test_what_no_other_server_can_go_on_with_ends_with_the_reason(directory, tmp_path, redis):
    other = tmp_path / "other"
    other.mkdir()
    write_tokenizer(other)
    (other / BACKWARDS).touch()
    victim = EchoProcess(directory, step_seconds=0.01, redis_url=redis.url, environment=LEASE)
    async with server(other, redis.url, OWN) as survivor, victim:
        mixed = EventSource(survivor.client, await begin(victim, **LONG))
        await mixed.read(5)
        body = {"model": "chat", "prompt": "abc", "stream": True, **LONG}
        async with victim.client.post(
            "/v1/completions", json=body, headers={"X-Resumable": "true"}
        ) as response:
            openai = EventSource(survivor.client, response.headers["X-Job-Id"])
            await response.content.readany()
            victim.kill()
        await asyncio.wait_for(asyncio.gather(mixed.read(), openai.read()), PATIENCE)
        assert (mixed.end.name, mixed.end.json["reason"]) == ("job_error", "server_lost")
        assert "becomes another" in mixed.end.json["message"]
        assert mixed.text == ("abc" * 500)[: len(mixed.text)]
        assert openai.end.json["reason"] == "server_lost"


async def take_over(front, job_id, redis, prefix) -> None:
    """Let the lease of the server that runs the job be away while this one looks; that server may renew it in between."""
    with redis.client() as client:
        owner = client.hget(f"{prefix}{job_id}:card", "owner")
        async with asyncio.timeout(PATIENCE):
            while client.hget(f"{prefix}{job_id}:card", "owner") == owner:
                client.delete(f"{prefix}owner:{owner.decode()}")
                await card(front, job_id)


async def test_a_server_that_was_only_slow_writes_no_more_once_its_job_was_taken_over(
    directory, redis, prefix
):
    async with two(directory, redis, prefix, step_seconds=0.006, lease_seconds=60.0) as (one, other):
        readers = [EventSource(front.client, await begin(one, **LONG)) for front in (one, other)]
        await asyncio.gather(*[reader.read(5) for reader in readers])
        await take_over(other, readers[1].job_id, redis, prefix)
        await other.settle(lambda status: status["streams"]["active"] == 1)
        await asyncio.wait_for(asyncio.gather(*[reader.read() for reader in readers]), PATIENCE)
        assert [reader.text for reader in readers] == ["abc" * 500] * 2
        assert [reader.end.name for reader in readers] == ["job_complete"] * 2
        for front in (one, other):
            await front.settle(lambda status: status["streams"]["active"] == 0)


async def test_an_event_whose_answer_was_lost_on_the_way_can_be_written_again(redis, prefix):
    store = RedisStore(redis.url, window=lambda: 60.0, longest_job=lambda: 300.0, prefix=prefix)
    card = Card(job_id=new_job_id(), model="chat", kind="chat", request_id="r", metrics=Timings(t_start=0.0))
    await store.open(card, None)
    for _ in range(2):
        await store.append(card, Event(1, "token", b"a"))
    with pytest.raises(StoreUnavailable):
        await store.append(card, Event(1, "token", b"another"))
    async with store.reader(card.job_id, 0) as reader:
        assert [event.data for event in (await reader.read(wait=False)).events] == [b"a"]
    await store.stop()


async def test_a_redis_that_is_away_for_a_moment_costs_no_token(directory, tmp_path):
    with redis_server(tmp_path) as own:
        async with server(directory, own.url, "p:", step_seconds=0.005) as front:
            reader = EventSource(front.client, await begin(front, max_tokens=300))
            reading = asyncio.create_task(reader.read())
            await until(lambda: asyncio.sleep(0, len(reader.seen)), lambda seen: seen > 10)
            own.pause()
            held = await until(lambda: asyncio.sleep(0.3, len(reader.seen)), lambda _: True)
            assert held < 300
            own.resume()
            await reading
            assert reader.text == "abc" * 100


async def test_without_redis_jobs_fail_with_the_reason_and_all_else_works(directory, tmp_path):
    with redis_server(tmp_path) as own:
        async with server(directory, own.url, "p:", step_seconds=0.005, append_seconds=0.2) as front:
            job_id = await begin(front, **LONG)
            own.stop()
            await front.settle(lambda status: status["streams"]["active"] == 0)
            status, answer = await post(front, "/v1/jobs", model="chat", prompt="abc")
            assert (status, answer["error"]["code"]) == (503, "store_unavailable")
            async with front.client.get(f"/v1/stream?job_id={job_id}") as response:
                assert response.status == 503
            async with front.complete("abc", max_tokens=5) as response:
                assert response.status == 200


async def test_a_drain_waits_for_the_readers_that_are_connected_here(directory, redis, prefix):
    async with server(directory, redis.url, prefix) as front:
        reader = EventSource(front.client, await begin(front, max_tokens=200))
        reading = asyncio.create_task(reader.read())
        front.serving.drain.terminate()
        await front.serving.finish(PATIENCE)
        await reading
        assert reader.end.name == "job_complete"
