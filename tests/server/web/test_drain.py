"""Draining: new work goes elsewhere, running work ends here."""

from __future__ import annotations

import asyncio
import json

import pytest

from realtime_serve.generation.draining import STILL_SERVED_SECONDS
from tests.support.echo_engine import echo_engine
from tests.support.front_end import PATIENCE, events, front_end, text_of

pytestmark = pytest.mark.slow

ORDER = b'realtime-serve.io/drain="2026-01-01T00:00:00Z"\n'


@pytest.fixture
async def slow(directory):
    async with front_end(echo_engine(directory, step_seconds=0.002)) as running:
        yield running


async def first_event(stream):
    """Of any number of tokens: on a busy machine several wait when it is written."""
    return json.loads((await stream.content.readuntil(b"\n\n")).removeprefix(b"data: "))


async def test_a_running_stream_is_finished_while_new_ones_are_refused(slow):
    async with slow.complete("abc", stream=True, max_tokens=600) as stream:
        first = await first_event(stream)
        await slow.serving.drain.obey(ORDER)
        slow.clock.now += STILL_SERVED_SECONDS
        async with slow.complete("abc") as refused:
            error = (await refused.json())["error"]
        assert (refused.status, refused.headers["Retry-After"], refused.headers["Connection"]) == (
            503,
            "1",
            "close",
        )
        assert error["code"] == "draining"
        assert (await slow.status())["draining"] is True
        assert (await slow.status())["streams"]["active"] == 1
        *chunks, done = await events(stream)
    assert (len(text_of([first, *chunks])), done) == (600, "[DONE]")


async def test_a_request_right_after_the_order_is_served_and_told_to_close(slow):
    await slow.serving.drain.obey(ORDER)
    async with slow.complete("abc", max_tokens=3) as whole:
        assert (whole.status, whole.headers["Connection"]) == (200, "close")
    async with slow.complete("abc", max_tokens=3, stream=True) as stream:
        assert stream.headers["Connection"] == "close"
        assert (await events(stream))[-1] == "[DONE]"


async def test_an_order_leaves_ready_as_it_is_and_the_end_does_not(slow):
    await slow.serving.drain.obey(ORDER)
    async with slow.client.get("/ready") as response:
        assert response.status == 200
    slow.serving.drain.terminate()
    async with slow.client.get("/ready") as response:
        assert (response.status, (await response.json())["reason"]) == (503, "the server is shutting down")
    async with slow.client.get("/health") as response:
        assert response.status == 200


async def test_an_order_that_is_taken_back_leaves_no_trace(slow):
    await slow.serving.drain.obey(ORDER)
    slow.clock.now += STILL_SERVED_SECONDS
    await slow.serving.drain.obey(b"")
    async with slow.complete("abc", max_tokens=3) as response:
        assert response.status == 200
        assert "Connection" not in response.headers


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(slow):
    reader, writer = await asyncio.open_connection("127.0.0.1", slow.port, limit=1 << 20)
    writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b'"ready"}')
    async with slow.complete("abc", stream=True, max_tokens=2000) as stream:
        first = await first_event(stream)
        await slow.serving.drain.obey(ORDER)
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        *chunks, done = await events(stream)
    assert (len(text_of([first, *chunks])), done) == (2000, "[DONE]")
    writer.close()


async def test_what_is_left_at_the_deadline_is_cut_with_a_reason(slow):
    async with slow.complete("abc", stream=True, max_tokens=2000) as stream:
        await stream.content.readuntil(b"\n\n")
        await slow.serving.finish(0.05)
        *_chunks, last = await events(stream)
    assert last["error"]["code"] == "server_shutdown"
    assert slow.serving.active == 0


async def test_the_end_waits_for_what_runs(slow):
    async with slow.complete("abc", stream=True, max_tokens=300) as stream:
        await stream.content.readuntil(b"\n\n")
        await slow.serving.finish(PATIENCE)
        assert slow.serving.active == 0
        assert (await events(stream))[-1] == "[DONE]"


BODY = b'{"model": "chat", "prompt": "abc", "stream": true, "max_tokens": 300}'
REQUEST = (
    b"POST /v1/completions?a=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)
WHOLE = b"data: [DONE]\n\n\r\n0\r\n\r\n"


async def test_a_connection_that_streamed_through_the_order_is_served_once_more_and_told_to_close(slow):
    reader, writer = await asyncio.open_connection("127.0.0.1", slow.port, limit=1 << 20)
    writer.write(REQUEST)
    assert b"Connection: close" not in await reader.readuntil(b"\r\n\r\n")
    await slow.serving.drain.obey(ORDER)
    await asyncio.wait_for(reader.readuntil(WHOLE), PATIENCE)
    writer.write(REQUEST)
    headers = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert b"200 OK" in headers
    assert b"Connection: close" in headers
    rest = await asyncio.wait_for(reader.read(), PATIENCE)  # ends only because the server closes
    assert rest.endswith(WHOLE)
    writer.close()


async def test_a_late_request_on_a_kept_connection_is_sent_to_the_same_address_over_a_new_one(slow):
    reader, writer = await asyncio.open_connection("127.0.0.1", slow.port, limit=1 << 20)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    await slow.serving.drain.obey(ORDER)
    await asyncio.wait_for(reader.readuntil(WHOLE), PATIENCE)
    slow.clock.now += STILL_SERVED_SECONDS
    writer.write(REQUEST)
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 307 ")
    assert b"\r\nLocation: /v1/completions?a=1\r\n" in answer
    assert b"\r\nConnection: close\r\n" in answer
    writer.close()
