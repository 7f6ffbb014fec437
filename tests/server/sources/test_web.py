"""Archives over http: checked, resumed, and each way to fail with a reason of its own."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from aiohttp import web

from realtime_serve.errors import EngineFailed
from realtime_serve.sources.web import TOKEN
from tests.server.sources.conftest import FILES, _packed
from tests.support.threaded import serving

WANTED = {"config.json", "model.safetensors", "tokenizer.json"}


@pytest.fixture(scope="session")
def archive(weights):
    return _packed(weights)


@pytest.fixture
def digest(archive):
    return hashlib.sha256(archive.read_bytes()).hexdigest()


RIGHT = "right"


class Site:
    """Serves the archive, and breaks off as often as it is told to."""

    def __init__(self, archive, token: str = "") -> None:
        self.archive, self.token = archive, token
        self.breaks = 0
        self.ranges: list[str] = []
        self.seen: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/small.tar.gz", self.get)
        app.router.add_get("/moved.tar.gz", self.moved)
        return app

    async def moved(self, request):
        raise web.HTTPFound(request.url.with_path("/small.tar.gz").with_query(signature="secret"))

    async def get(self, request):
        self.seen.append(request.headers.get("Authorization", ""))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        self.ranges.append(request.headers.get("Range", ""))
        if not self.breaks:
            return web.FileResponse(self.archive)
        self.breaks -= 1
        content = await asyncio.to_thread(self.archive.read_bytes)
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 3])
        request.transport.close()
        return response


@pytest.fixture
def site(archive):
    """The server runs on a thread of its own: fetching blocks."""
    running = Site(archive)
    with serving(running.app()) as running.url:
        yield running


def reason(get, uri, **more) -> str:
    with pytest.raises(EngineFailed) as caught:
        get(uri, **more)
    return caught.value.reason


def test_an_archive_becomes_a_directory_and_is_downloaded_once(get, site, digest):
    directory = get(f"{site.url}/small.tar.gz", sha256=digest)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {
        name: FILES[name] for name in WANTED
    }
    assert get(f"{site.url}/small.tar.gz", sha256=digest) == directory
    assert site.ranges == [""]
    assert not list(get.cache.rglob("archive")), "the packed copy is not kept"


def test_a_connection_that_breaks_is_taken_up_where_it_broke(get, site, digest, archive):
    site.breaks = 1
    directory = get(f"{site.url}/small.tar.gz", sha256=digest)
    third = archive.stat().st_size // 3
    assert site.ranges[0] == ""
    assert 0 < int(site.ranges[1].removeprefix("bytes=").rstrip("-")) <= third
    assert {path.name for path in directory.iterdir()} == WANTED


def test_another_checksum_is_refused_and_the_next_try_starts_anew(get, site, digest):
    assert reason(get, f"{site.url}/small.tar.gz", sha256="0" * 64) == "ChecksumMismatch"
    assert {path.name for path in get(f"{site.url}/small.tar.gz", sha256=digest).iterdir()} == WANTED


def test_not_found_not_authorised_and_not_there(get, site, digest):
    assert reason(get, f"{site.url}/absent.tar.gz", sha256=digest) == "SourceNotFound"
    site.token = RIGHT
    assert reason(get, f"{site.url}/small.tar.gz", sha256=digest) == "SourceUnauthorised"
    assert reason(get, "http://127.0.0.1:9/small.tar.gz", sha256=digest) == "SourceUnreachable"


def test_a_token_opens_the_source_and_does_not_follow_to_another_place(get, site, digest, monkeypatch):
    monkeypatch.setenv(TOKEN, RIGHT)
    get(f"{site.url}/moved.tar.gz", sha256=digest)
    assert site.seen == [""], "the redirected request carries no token"
    site.token = RIGHT
    get.cache = get.cache / "other"
    get(f"{site.url}/small.tar.gz", sha256=digest)


def test_what_is_secret_in_a_uri_is_not_told(get, site, digest):
    with pytest.raises(EngineFailed) as caught:
        get(f"{site.url}/absent.tar.gz?signature=secret", sha256=digest)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "sha256", "why"),
    [
        ("https://example.com/small.tar.gz", "", "sha256 has to be given"),
        ("https://example.com/small", "0" * 64, "is one archive"),
        ("hf://demo/small", "0" * 64, "this is none"),
    ],
)
def test_a_source_that_cannot_be(get, uri, sha256, why):
    with pytest.raises(EngineFailed, match=why) as caught:
        get(uri, sha256=sha256)
    assert caught.value.reason == "SourceInvalid"
