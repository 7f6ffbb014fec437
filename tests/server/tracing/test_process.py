"""The whole server as a process, told by its environment to send spans."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from hack.ports import free_port
from tests.support.echo_process import EchoProcess
from tests.support.server_process import ServerProcess
from tests.support.tiny_models import write_model

pytestmark = pytest.mark.slow

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def server(tmp_path):
    running = ServerProcess(write_model(tmp_path / "random"), tmp_path / "server.log")
    yield running
    running.stop()


async def asked(url):
    body = {"model": "chat", "prompt": "abc", "max_tokens": 5, "ignore_eos": True}
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    async with (
        aiohttp.ClientSession(url) as client,
        client.post("/v1/completions", json=body, headers=headers) as response,
    ):
        return (await response.json())["usage"]["completion_tokens"]


async def test_its_last_spans_come_as_it_ends(server, collecting, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collecting.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    await asyncio.to_thread(server.start, "--dtype=float32")
    assert await asked(f"http://{server.address}") == 5
    await asyncio.to_thread(server.stop)
    assert server.process.returncode == 0
    (span,) = collecting.spans
    assert (span.trace, span.parent, span.status) == (TRACE, PARENT, 0)
    assert span.attributes["gen_ai.usage.output_tokens"] == 5
    assert f'"trace_id": "{TRACE}"' in server.log.read_text()


async def test_without_a_collector_it_serves_and_ends_well(directory, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    async with EchoProcess(directory) as server:
        assert await asked(server.url) == 5
        assert await server.end() == 0
