"""Readers that leave, lag or sleep, and what becomes of their sequences and of everybody else's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from realtime_serve.web.openai.shapes import CompletionShape
from tests.support.echo_engine import echo_engine
from tests.support.front_end import PATIENCE, events, front_end, text_of, until

pytestmark = pytest.mark.slow

IDLE = {"waiting": 0, "running": 0}
LONG = {"max_tokens": 2000, "ignore_eos": True}


@pytest.fixture
async def slow(directory):
    """A front end whose engine takes 5 ms a step and runs one sequence at a time."""
    batching = {"maxBatchSize": 1, "maxWaitMs": 0}
    async with front_end(echo_engine(directory, step_seconds=0.005), batching=batching) as running:
        yield running


async def gone(front) -> dict:
    return await front.settle(
        lambda status: status["queues"]["chat"] == IDLE and status["streams"]["active"] == 0
    )


async def test_a_client_that_leaves_a_stream_takes_its_sequence_along(slow):
    async with slow.complete("abc", stream=True, **LONG) as response:
        await response.content.readuntil(b"\n\n")
        assert (await slow.status())["queues"]["chat"]["running"] == 1
        response.close()
    await gone(slow)
    assert (
        'client_disconnects_total{model_name="chat",model_version="1.0.0",priority="normal"} 1.0'
        in await metrics(slow)
    )


async def test_a_client_that_leaves_before_a_whole_answer_takes_its_sequence_along(slow):
    asking = asyncio.create_task(ask(slow, LONG))
    await slow.settle(lambda status: status["queues"]["chat"]["running"] == 1)
    asking.cancel()
    await gone(slow)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_leaves_the_queue_takes_its_place_along(slow, stream):
    async with slow.complete("abc", stream=True, **LONG) as first:
        queued = asyncio.create_task(ask(slow, {**LONG, "stream": stream}))
        await slow.settle(lambda status: status["queues"]["chat"] == {"waiting": 1, "running": 1})
        queued.cancel()
        await slow.settle(lambda status: status["queues"]["chat"] == {"waiting": 0, "running": 1})
        first.close()
    await gone(slow)


async def test_a_queued_stream_is_kept_alive(slow):
    await slow.set(batching={"maxBatchSize": 1, "maxWaitMs": 0}, streaming={"heartbeatSeconds": 1})
    async with (
        slow.complete("abc", stream=True, **LONG) as first,
        slow.complete("abc", stream=True) as second,
    ):
        assert await second.content.readuntil(b"\n\n") == b": keep-alive\n\n"
        first.close()
        second.close()


async def test_a_reader_that_takes_nothing_holds_up_itself_alone(directory):
    streaming = {"bufferTokens": 32}
    async with front_end(echo_engine(directory), streaming=streaming) as front:
        reader, writer = await open_lazily(front, {"prompt": "abc", "stream": True, **LONG})
        answers = await asyncio.gather(
            *[ask(front, {"max_tokens": 300, "ignore_eos": True}) for _ in range(8)]
        )
        assert {answer["choices"][0]["text"] for answer in answers} == {"abc" * 100}
        stats = front.serving.models.first.current.stats
        await standstill(lambda: stats.steps)
        assert stats.running == 1
        assert stats.steps < 2000  # it is held before it is through: what waits for the reader is bounded
        whole = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    assert whole.endswith(b"data: [DONE]\n\n")
    chunks = [json.loads(line[6:]) for line in whole.decode().splitlines() if line.startswith("data: {")]
    assert text_of(chunks) == ("abc" * 667)[:2000]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_reader_that_takes_nothing_for_too_long_is_ended(directory, stream, monkeypatch):
    streaming = {"bufferTokens": 32, "idleTimeoutSeconds": 1}
    if not stream:  # a whole answer is too short to fill a connection, so this one is made longer
        monkeypatch.setattr(CompletionShape, "whole", lambda *_: b"x" * 10_000_000)
    async with front_end(echo_engine(directory), streaming=streaming) as front:
        _reader, writer = await open_lazily(front, {"prompt": "abc", "stream": stream, **LONG})
        await front.settle(lambda status: status["streams"]["active"] == 1)
        await gone(front)
        if stream:
            assert 'reason="reader_idle"} 1.0' in await metrics(front)
        writer.close()


async def test_a_request_that_takes_too_long_is_told_so(slow):
    await slow.set(limits={"requestTimeoutSeconds": 1}, batching={"maxBatchSize": 2, "maxWaitMs": 0})
    async with slow.complete("abc", stream=True, **LONG) as stream, slow.complete("abc", **LONG) as whole:
        *_chunks, last = await events(stream)
        error = (await whole.json())["error"]
    assert (whole.status, whole.headers["x-should-retry"]) == (504, "false")
    assert last["error"]["code"] == error["code"] == "request_timeout"
    await gone(slow)


async def test_many_streams_at_once_are_each_whole(front):
    async def one(number: int) -> str:
        async with front.complete(f"<{number}>", stream=True, max_tokens=200) as response:
            *chunks, done = await events(response)
        assert done == "[DONE]"
        return text_of(chunks)

    texts = await asyncio.gather(*[one(number) for number in range(32)])
    assert texts == [(f"<{number}>" * 100)[:200] for number in range(32)]
    await gone(front)


async def metrics(front) -> str:
    async with front.client.get("/metrics") as response:
        return await response.text()


async def ask(front, fields):
    async with front.complete("abc", **fields) as response:
        return await response.json() if not fields.get("stream") else await response.read()


async def standstill(read) -> None:
    """Wait until a number stays the same over many turns of the loop."""
    seen = []

    async def sample() -> bool:
        seen.append(read())
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    await until(sample, bool)


@contextlib.contextmanager
def small_window():
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    yield connection


async def open_lazily(front, body):
    """Send a request on a connection with a small window, of which nothing is read until it is asked for."""
    with small_window() as connection:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", front.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=2048)
    content = json.dumps({"model": "chat", **body}).encode()
    head = f"POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
    return reader, writer
