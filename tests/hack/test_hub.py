"""The hub-shaped server, asked by the real huggingface_hub."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hack.hub import samples
from hack.hub.app import Hub

WEIGHTS = bytes(range(256)) * 4096


@pytest.fixture
def root(tmp_path):
    repository = tmp_path / "hub" / "demo" / "small"
    (repository / "sub").mkdir(parents=True)
    (repository / "config.json").write_text('{"model_type": "llama"}')
    (repository / "model.safetensors").write_bytes(WEIGHTS)
    (repository / "sub" / "notes.txt").write_text("notes")
    return tmp_path / "hub"


@pytest.fixture
async def hub(root):
    async with TestClient(TestServer(Hub(root).app())) as client:
        yield client


def address(hub):
    return str(hub.make_url("/")).rstrip("/")


async def download(hub, cache, repository="demo/small", revision="main"):
    return Path(
        await asyncio.to_thread(
            snapshot_download, repository, revision=revision, endpoint=address(hub), cache_dir=cache
        )
    )


async def gets(hub):
    files = (await (await hub.get("/_stats")).json())["files"]
    return {name: count["gets"] for name, count in files.items()}


async def test_a_snapshot_holds_every_file_byte_for_byte(hub, root, tmp_path):
    snapshot = await download(hub, tmp_path / "cache")
    for name in ("config.json", "model.safetensors", "sub/notes.txt"):
        assert (snapshot / name).read_bytes() == (root / "demo" / "small" / name).read_bytes()


async def test_a_second_client_with_the_same_cache_downloads_nothing(hub, tmp_path):
    await download(hub, tmp_path / "cache")
    first = await gets(hub)
    await download(hub, tmp_path / "cache")
    assert first == await gets(hub)
    assert first["demo/small/model.safetensors"] == 1


async def test_a_second_client_with_a_cache_of_its_own_is_counted(hub, tmp_path):
    await download(hub, tmp_path / "one")
    await download(hub, tmp_path / "two")
    assert (await gets(hub))["demo/small/model.safetensors"] == 2


async def test_a_changed_file_makes_a_new_commit_and_only_it_is_downloaded(hub, root, tmp_path):
    before = await download(hub, tmp_path / "cache")
    (root / "demo" / "small" / "config.json").write_text('{"model_type": "gpt2"}')
    after = await download(hub, tmp_path / "cache")
    assert before != after
    counts = await gets(hub)
    assert counts["demo/small/config.json"] == 2
    assert counts["demo/small/model.safetensors"] == 1


async def test_a_revision_is_a_directory_beside_main(hub, root, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    samples.link(other, "demo/small@v2", root)
    snapshot = await download(hub, tmp_path / "cache", revision="v2")
    assert (snapshot / "config.json").read_text() == "{}"


async def test_a_commit_is_a_revision_too(hub, tmp_path):
    info = await (await hub.get("/api/models/demo/small")).json()
    assert len(info["sha"]) == 40
    snapshot = await download(hub, tmp_path / "cache", revision=info["sha"])
    assert snapshot.name == info["sha"]


async def test_an_interrupted_download_goes_on_where_it_stopped(hub):
    answer = await hub.get(
        "/demo/small/resolve/main/model.safetensors", headers={"Range": f"bytes={len(WEIGHTS) - 7}-"}
    )
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {len(WEIGHTS) - 7}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"
    assert await answer.read() == WEIGHTS[-7:]


async def test_the_etag_is_the_content_and_a_known_one_is_not_sent_again(hub):
    etag = f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    path = "/demo/small/resolve/main/model.safetensors"
    head = await hub.head(path)
    assert head.headers["ETag"] == etag
    assert head.headers["Content-Length"] == str(len(WEIGHTS))
    known = await hub.get(path, headers={"If-None-Match": etag})
    assert known.status == 304
    assert (await hub.get(path, headers={"If-None-Match": '"another"'})).status == 200


@pytest.mark.parametrize(
    ("repository", "file", "revision", "error"),
    [
        ("demo/nothing", "config.json", "main", RepositoryNotFoundError),
        ("demo/small", "config.json", "v9", RevisionNotFoundError),
        ("demo/small", "nothing.json", "main", RemoteEntryNotFoundError),
    ],
)
async def test_what_is_not_there_is_told_as_the_hub_tells_it(
    hub, tmp_path, repository, file, revision, error
):
    with pytest.raises(error):
        await asyncio.to_thread(
            hf_hub_download, repository, file, revision=revision, endpoint=address(hub), cache_dir=tmp_path
        )


@pytest.mark.parametrize(
    "path", ["/../small/resolve/main/config.json", "/demo/small/resolve/main/../../secret"]
)
async def test_nothing_outside_a_repository_is_served(hub, root, path):
    (root / "secret").write_text("secret")
    (root / "demo" / "secret").write_text("secret")
    reader, writer = await asyncio.open_connection(hub.host, hub.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404")


def test_truncated_weights_keep_the_other_files(root):
    place = samples.truncate(root / "demo" / "small", "demo/broken", root, keep_bytes=100)
    assert (place / "model.safetensors").read_bytes() == WEIGHTS[:100]
    assert (place / "config.json").read_text() == '{"model_type": "llama"}'
