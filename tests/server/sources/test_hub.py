"""From the name of a model to a directory, by the real client of a hub; each way to fail has its reason."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hack.hub.app import Hub

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from pathlib import Path
from realtime_serve.errors import EngineFailed
from realtime_serve.sources.cache import Cache
from realtime_serve.sources.fetching import fetch
from realtime_serve.sources.meter import Meter
from realtime_serve.settings.source import Source
meter = Meter()
try:
    found = fetch(Source(sys.argv[1], sys.argv[2]), Cache(Path(sys.argv[3])), meter)
    print("moved", meter.moved, "of", meter.total, file=sys.stderr)
    print("ok", found)
except EngineFailed as error:
    print(error.reason, error)
"""


@pytest.fixture
def root(tmp_path):
    repository = tmp_path / "hub" / "demo" / "small"
    repository.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        (repository / name).write_text("{}")
    (repository / "pytorch_model.bin").write_text("a pickle")
    (repository / "photo.png").write_text("not wanted")
    return tmp_path / "hub"


@pytest.fixture
async def hub(root):
    async with TestServer(Hub(root).app()) as server:
        yield str(server.make_url("/")).rstrip("/")


async def fetch_from(endpoint: str, home: Path, model: str, revision: str = "main") -> tuple[str, str]:
    """In a process of its own: the hub's client reads its environment when it is imported."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", SCRIPT, model, revision, str(home)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    reason, _, rest = output.decode().strip().partition(" ")
    return reason, rest


async def test_a_repository_becomes_a_directory_with_what_is_needed_and_no_pickles(hub, tmp_path):
    reason, directory = await fetch_from(hub, tmp_path / "home", "hf://demo/small")
    assert reason == "ok", directory
    names = await asyncio.to_thread(os.listdir, directory)
    assert set(names) == {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}


async def test_what_is_cached_is_served_when_the_hub_is_gone(hub, tmp_path):
    first = await fetch_from(hub, tmp_path / "home", "hf://demo/small")
    assert await fetch_from("http://127.0.0.1:9", tmp_path / "home", "hf://demo/small") == first


@pytest.mark.parametrize(("model", "revision"), [("hf://demo/absent", "main"), ("hf://demo/small", "absent")])
async def test_no_such_repository_or_revision(hub, tmp_path, model, revision):
    reason, message = await fetch_from(hub, tmp_path / "home", model, revision)
    assert reason == "SourceNotFound"
    assert f"{model}@{revision}" in message


async def test_a_hub_that_does_not_answer(tmp_path):
    assert (await fetch_from("http://127.0.0.1:9", tmp_path, "hf://demo/small"))[0] == "SourceUnreachable"


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "GatedRepo", "SourceUnauthorised"),
        (401, "", "SourceUnauthorised"),
        (500, "", "SourceUnreachable"),
    ],
)
async def test_a_hub_that_refuses(tmp_path, status, code, reason):
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"X-Error-Code": code} if code else {})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(app) as server:
        found, message = await fetch_from(str(server.make_url("/")).rstrip("/"), tmp_path, "hf://demo/small")
    assert found == reason, message
