"""What pods say, asked over real HTTP on the loopback."""

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from inference_operator.cluster.pods import PodReader

REPORT = {
    "server_version": "0.1.0",
    "uptime_seconds": 12.3,
    "draining": True,
    "settings_generation": 3,
    "settings_error": "",
    "connections": 12,
    "streams": {"active": 7},
    "models": {"chat": {"active_version": "1", "versions": {"1": {"state": "ready", "active_streams": 7}}}},
    "queues": {"chat": {"waiting": 2, "running": 5}},
}


def pod(*, phase="Running", ip="127.0.0.1", **meta):
    return {"metadata": {"name": "chat-1", **meta}, "status": {"phase": phase, "podIP": ip}}


@asynccontextmanager
async def answering(handler):
    """A reader whose port is that of a server that answers with what `handler` makes of the request."""

    async def answer(request):
        return handler(request)

    app = web.Application()
    app.router.add_get("/status", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader = PodReader(port=runner.addresses[0][1])
    try:
        yield reader
    finally:
        await reader.close()
        await runner.cleanup()


async def test_a_report_is_read_and_unknown_keys_are_left_alone():
    async with answering(lambda _: web.json_response(REPORT)) as reader:
        report = await reader.read(pod())
    assert report.draining
    assert report.streams.active == 7
    assert report.settings_generation == 3
    assert report.version("1").state == "ready"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500},
        {"status": 302, "headers": {"Location": "/status"}},
        {"text": "not json"},
        {"text": "[]"},
        {"text": '{"draining": "yes"}'},
        {"body": b'{"draining": true, "padding": "' + b"x" * 2_000_000},
    ],
)
async def test_nonsense_is_unknown_and_not_idle(answer):
    async with answering(lambda _: web.Response(**answer)) as reader:
        assert await reader.read(pod()) is None


async def test_a_report_that_comes_in_pieces_is_read_whole():
    body = json.dumps({**REPORT, "padding": "x" * 500_000})

    def in_pieces(_request):
        response = web.Response(text=body)
        response.enable_chunked_encoding()
        return response

    async with answering(in_pieces) as reader:
        assert (await reader.read(pod())).streams.active == 7


async def test_a_pod_that_refuses_connections_is_unknown():
    reader = PodReader(port=1)
    try:
        assert await reader.read(pod()) is None
    finally:
        await reader.close()


@pytest.mark.parametrize(
    "asked",
    [pod(phase="Pending"), pod(ip=""), pod(deletionTimestamp="2026-01-01T00:00:00Z")],
    ids=["pending", "no address", "being deleted"],
)
async def test_a_pod_that_cannot_answer_is_not_asked(asked):
    asked_paths = []

    def handler(request):
        asked_paths.append(request.path)
        return web.json_response(REPORT)

    async with answering(handler) as reader:
        assert await reader.read(asked) is None
    assert asked_paths == []
