"""Clients that speak HTTP badly take nothing with them and leave nothing behind."""

from __future__ import annotations

import asyncio
import logging
import random

import psutil
import pytest

from realtime_serve.web import bodies, connections
from tests.support import raw_client
from tests.support.echo_process import EchoProcess
from tests.support.front_end import until

ROUNDS = 5
GROWTH_MIB = (
    48  # of a process that takes bodies of 8 MiB; a leak of one such body in a round would be twice that
)


async def status(client) -> dict:
    async with client.get("/status") as response:
        return await response.json()


async def test_after_hundreds_of_bad_clients_nothing_is_left_of_them(directory):
    chance = random.Random(5)
    async with EchoProcess(directory, step_seconds=0.001) as server:
        process = psutil.Process(server._process.pid)

        async def once() -> None:
            clients = [client for client in raw_client.CLIENTS for _ in range(3)]
            chance.shuffle(clients)
            await asyncio.gather(*[client(server.port, chance) for client in clients])

        await once()
        before = process.memory_info().rss
        for _ in range(ROUNDS):
            await once()
        idle = {"streams": {"active": 0}, "queues": {"chat": {"waiting": 0, "running": 0}}}
        found = await until(
            lambda: status(server.client), lambda told: told | idle == told and told["connections"] == 1
        )
        assert found["connections"] == 1  # the one that asks
        assert (process.memory_info().rss - before) >> 20 < GROWTH_MIB


async def test_a_connection_on_which_no_request_comes_is_closed_and_a_kept_one_is_not(front, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.0)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.01)
    assert (await front.status())["connections"] == 1
    reader, writer = await raw_client.connect(front.port)
    writer.write(raw_client.request()[:40])
    assert await raw_client.drained(reader) == b""
    writer.close()
    assert (await front.status())["connections"] == 1


async def test_a_body_that_does_not_come_is_waited_for_no_longer_than_that(front, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    reader, writer = await raw_client.connect(front.port)
    writer.write(raw_client.request()[:-5])
    async with asyncio.timeout(raw_client.PATIENCE):
        answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()
    assert (await front.status())["streams"] == {"active": 0}


@pytest.mark.parametrize("line", [b"POST /v1/\x80 HTTP/1.1", b"GET / HTTP/1.1\r\nContent-Length: x"])
async def test_what_is_no_http_is_a_400_and_one_line_of_log(front, caplog, line):
    caplog.set_level(logging.INFO)
    reader, writer = await raw_client.connect(front.port)
    writer.write(line + b"\r\n\r\n")
    answer = await raw_client.drained(reader)
    writer.close()
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")), answer
    (told,) = [record for record in caplog.records if record.name == "aiohttp.server"]
    assert told.levelno == logging.INFO
    assert told.exc_info is None
    assert told.getMessage().startswith("refused what is no HTTP: ")
