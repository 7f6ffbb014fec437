"""The server as a process: its files, its signals, its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.support.front_end import PATIENCE, events, text_of, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
ORDER = 'realtime-serve.io/drain="2026-01-01T00:00:00Z"\n'
LONG = {"model": "chat", "prompt": "abc", "stream": True, "ignore_eos": True}


@dataclass
class Running:
    process: asyncio.subprocess.Process
    client: aiohttp.ClientSession
    settings: Path
    annotations: Path

    def complete(self, tokens: int):
        return self.client.post("/v1/completions", json={**LONG, "max_tokens": tokens})

    async def status(self):
        async with self.client.get("/status") as response:
            return await response.json()

    async def code(self, path: str) -> int:
        async with self.client.get(path) as response:
            return response.status

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)


@contextlib.asynccontextmanager
async def serve(
    directory, tmp_path, *flags: str, step_seconds: float = 0.004, module: str = "tests.support.echo_server"
):
    settings, annotations = tmp_path / "settings.json", tmp_path / "annotations"
    settings.write_text('{"generation": 1}')
    annotations.write_text("")
    arguments = [f"--model={directory}", "--served-name=chat", "--port=0", f"--settings={settings}"]
    arguments += [f"--pod-annotations={annotations}", *flags]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, *arguments),
        cwd=ROOT,
        env={**os.environ, "ECHO_STEP_SECONDS": str(step_seconds)},
        stderr=asyncio.subprocess.PIPE,
    )
    log = asyncio.create_task(forward(process.stderr, port := asyncio.get_running_loop().create_future()))
    url = f"http://127.0.0.1:{await asyncio.wait_for(port, PATIENCE)}"
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client:
        running = Running(process, client, settings, annotations)
        try:
            await until(lambda: running.code("/ready"), lambda code: code == 200)
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await log


async def forward(stream, port) -> None:
    """Find the port in the log, and show the log to whoever reads a failure."""
    async for line in stream:
        sys.stdout.write(line.decode())
        if not port.done() and b'"listening"' in line:
            port.set_result(json.loads(line)["port"])
    if not port.done():
        port.set_exception(AssertionError("the server ended before it listened"))


async def read(response) -> tuple[str, object]:
    *chunks, last = await events(response)
    return text_of(chunks), last


async def test_a_signal_lets_running_streams_end_and_the_process_exits_with_zero(directory, tmp_path):
    async with serve(directory, tmp_path) as server, contextlib.AsyncExitStack() as open_streams:
        responses = [await open_streams.enter_async_context(server.complete(500)) for _ in range(8)]
        server.signal()
        await until(lambda: server.code("/ready"), lambda code: code == 503)
        assert (await server.status())["draining"] is True
        assert await server.code("/health") == 200
        answers = await asyncio.gather(*[read(response) for response in responses])
        assert answers == [(("abc" * 167)[:500], "[DONE]")] * 8
        assert await server.ended() == 0


async def test_an_idle_server_ends_at_once(directory, tmp_path):
    async with serve(directory, tmp_path) as server:
        server.signal(signal.SIGINT)
        assert await server.ended() == 0


async def test_what_is_left_at_the_drain_timeout_is_cut_with_a_reason(directory, tmp_path):
    async with serve(directory, tmp_path, "--drain-timeout=0.5", step_seconds=0.02) as server:
        async with server.complete(1000) as response:
            await response.content.readuntil(b"\n\n")
            server.signal()
            _text, last = await read(response)
        assert last["error"]["code"] == "server_shutdown"
        assert await server.ended() == 0


async def test_a_second_signal_ends_the_process_and_its_engine_at_once(directory, tmp_path):
    async with serve(directory, tmp_path, step_seconds=0.02) as server:
        engines = psutil.Process(server.process.pid).children()
        async with server.complete(1000) as response:
            await response.content.readuntil(b"\n\n")
            server.signal()
            await until(lambda: server.code("/ready"), lambda code: code == 503)
            server.signal()
            assert await server.ended() == 128 + signal.SIGTERM
        assert psutil.wait_procs(engines, timeout=PATIENCE)[1] == []


async def test_an_order_in_the_annotations_drains_and_leaves_ready_alone(directory, tmp_path):
    async with serve(directory, tmp_path) as server, server.complete(1500) as response:
        await response.content.readuntil(b"\n\n")
        server.annotations.write_text(ORDER)
        await until(server.status, lambda status: status["draining"])
        assert await server.code("/ready") == 200
        await until(lambda: refused(server), bool)
        text, last = await read(response)
        assert (len(text), last) == (1499, "[DONE]")
        server.annotations.write_text("")
        await until(server.status, lambda status: not status["draining"])
        assert not await refused(server)


async def refused(server) -> bool:
    async with server.complete(1) as response:
        return response.status == 503 and response.headers["Connection"] == "close"


async def test_settings_follow_their_file_and_no_stream_notices(directory, tmp_path):
    async with serve(directory, tmp_path) as server, server.complete(1000) as response:
        server.settings.write_text('{"generation": 2, "limits": {"maxConnections": 1}}')
        await until(server.status, lambda status: status["settings_generation"] == 2)
        async with server.complete(1) as second:
            assert (second.status, (await second.json())["error"]["code"]) == (503, "overloaded")
        server.settings.write_text('{"generation": 3, "limits": {"maxConnection": 1}}')
        status = await until(server.status, lambda status: status["settings_error"])
        assert (status["settings_generation"], status["settings_error"]) == (
            2,
            "limits.maxConnection: unknown field",
        )
        text, last = await read(response)
        assert (len(text), last) == (1000, "[DONE]")


async def test_a_model_that_does_not_load_ends_the_process_with_its_reason(tmp_path):
    (tmp_path / "empty").mkdir()
    reason = tmp_path / "termination-log"
    reason.touch()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "realtime_serve", "--port=0", f"--model={tmp_path / 'empty'}", f"--termination-log={reason}"),
        stderr=asyncio.subprocess.PIPE,
    )
    _output, log = await asyncio.wait_for(process.communicate(), PATIENCE * 2)
    assert process.returncode == 1, log.decode()
    assert "config.json" in reason.read_text() or "empty" in reason.read_text()
    assert "\n" not in reason.read_text()


@pytest.mark.parametrize("address", ["host.invalid", "203.0.113.1"])
async def test_an_address_that_cannot_be_had_is_told(directory, address):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "realtime_serve", f"--host={address}", "--port=0", f"--model={directory}"),
        stderr=asyncio.subprocess.PIPE,
    )
    _output, log = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert f"cannot listen at {address}" in log.decode()
