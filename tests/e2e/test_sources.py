"""Weights over http: how far they are is told, and another archive than the one that was meant never serves."""

import asyncio
import hashlib
import tarfile
from http import HTTPStatus

import pytest
from aiohttp import web

from hack.cache import CACHE
from hack.hub.__main__ import NODE
from tests.support.models import ROLLOUT_SECONDS, condition, in_phase, settled_on, tiny_model
from tests.support.threaded import serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PIECE = 4096
WRONG = "0" * 64


class SlowSite:
    """One archive, in drips until it is told to go on."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.released = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/tiny.tar.gz", self.get)
        return app

    def release(self) -> None:
        self.loop.call_soon_threadsafe(self.released.set)

    async def get(self, request: web.Request) -> web.StreamResponse:
        self.loop = asyncio.get_running_loop()
        response = web.StreamResponse(
            status=HTTPStatus.OK, headers={"Content-Length": str(len(self.content))}
        )
        await response.prepare(request)
        for begin in range(0, len(self.content), PIECE):
            if begin > len(self.content) // 2:
                await self.released.wait()
            await response.write(self.content[begin : begin + PIECE])
            if not self.released.is_set():
                await asyncio.sleep(0.1)  # the server tells its progress twice a second
        return response


@pytest.fixture
def site(image, tmp_path):
    path = tmp_path / "tiny.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(CACHE / "models" / "tiny", arcname="tiny")
    running = SlowSite(path.read_bytes())
    with serving(running.app(), NODE) as running.url:
        yield running


def model_of(site, version, sha256):
    return {"uri": f"{site.url}/tiny.tar.gz", "version": version, "sha256": sha256}


def is_under_way(site):
    def holds(model):
        progress = model.get("status", {}).get("target", {}).get("progress", {})
        return 0 < progress.get("bytesDone", 0) < progress.get("bytesTotal", 0) == len(site.content)

    return holds


def test_a_download_tells_how_far_it_is_and_another_archive_never_serves(
    kube, image, start_operator, site, record_property
):
    start_operator()
    kube.apply(tiny_model(image, model=model_of(site, "1.0.0", site.sha256)))
    model = kube.wait("im", "chat", is_under_way(site), ROLLOUT_SECONDS)
    told = condition(model, "Progressing")["message"]
    record_property("what is told meanwhile", told)
    assert " KiB" in told
    assert "loading" in told
    site.release()
    kube.wait("im", "chat", settled_on("1.0.0"), ROLLOUT_SECONDS)
    kube.patch(
        "im",
        "chat",
        {"spec": {"model": model_of(site, "2.0.0", WRONG), "rollout": {"progressDeadlineSeconds": 25}}},
    )
    model = kube.wait("im", "chat", in_phase("Failed"), ROLLOUT_SECONDS)
    progressing = condition(model, "Progressing")
    record_property("what an on-call person reads", kube.run("describe", "im", "chat"))
    assert progressing["reason"] == "ChecksumMismatch"
    assert f"its sha256 is {site.sha256}, and {WRONG} was expected" in progressing["message"]
    assert model["status"]["active"]["version"] == "1.0.0"
