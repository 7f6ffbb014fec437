"""Models in an object store: whole, once, resumed, and each way to fail with a reason of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from realtime_serve.errors import EngineFailed
from realtime_serve.sources import cache as caching
from tests.server.sources.conftest import FILES

pytestmark = pytest.mark.slow

WANTED = {"config.json", "model.safetensors", "tokenizer.json"}
SCRIPT = """
import os, signal, sys
from pathlib import Path
from realtime_serve.sources.cache import Cache
from realtime_serve.sources.fetching import fetch
from realtime_serve.sources.meter import Meter
from realtime_serve.settings.source import Source
class Fragile(Meter):
    def add(self, count):
        super().add(count)
        if len(sys.argv) > 3 and self.moved >= int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
meter = Fragile()
place = fetch(Source(sys.argv[1]), Cache(Path(sys.argv[2])), meter)
print("moved", meter.moved)
print("place", place)
"""


def reason(get, uri, **more) -> tuple[str, str]:
    with pytest.raises(EngineFailed) as caught:
        get(uri, **more)
    return caught.value.reason, str(caught.value)


def test_a_prefix_becomes_a_directory_with_what_is_needed_and_no_pickles(get, bucket):
    directory = get(f"{bucket}/small/v1")
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {
        name: FILES[name] for name in WANTED
    }
    assert get.meter.moved == get.meter.total == sum(len(FILES[name]) for name in WANTED)
    assert get.told[-1].total == get.meter.total


def test_what_is_there_is_not_downloaded_again(get, bucket):
    first = get(f"{bucket}/small/v1")
    assert get(f"{bucket}/small/v1") == first
    assert get.meter.moved == 0


def test_what_is_there_is_served_when_the_store_is_gone(get, bucket, monkeypatch):
    first = get(f"{bucket}/small/v1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert get(f"{bucket}/small/v1") == first


def test_an_archive_in_a_store_is_unpacked(get, bucket):
    directory = get(f"{bucket}/packed/small.tar.gz")
    assert {path.name for path in directory.iterdir()} == WANTED


def test_an_archive_with_another_checksum_is_refused_and_not_kept(get, bucket):
    word, message = reason(get, f"{bucket}/packed/small.tar.gz", sha256="0" * 64)
    assert word == "ChecksumMismatch"
    assert "0" * 64 in message
    assert not list(get.cache.rglob("archive"))


@pytest.mark.parametrize("path", ["absent/v1", "broken", "packed/absent.tar.gz"])
def test_nothing_of_a_model_there(get, bucket, path):
    assert reason(get, f"{bucket}/{path}")[0] == "SourceNotFound"


def test_no_such_bucket(get, bucket):
    word, message = reason(get, "s3://absent/small")
    assert word == "SourceNotFound", message


def test_wrong_credentials(get, bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    word, message = reason(get, f"{bucket}/small/v1")
    assert word == "SourceUnauthorised", message
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    word, message = reason(get, f"{bucket}/small/v1")
    assert word == "SourceUnauthorised", message
    assert "wrong" not in message
    assert "<" not in message


def test_a_store_that_does_not_answer(get, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert reason(get, f"{bucket}/small/v1")[0] == "SourceUnreachable"


def test_too_little_room_is_told_before_anything_is_written(get, bucket, monkeypatch):
    class Full:
        free = 1000

    monkeypatch.setattr(caching.shutil, "disk_usage", lambda _path: Full)
    word, message = reason(get, f"{bucket}/small/v1")
    assert word == "OutOfSpace"
    assert "19.5 MiB are to be written and 1000 B are free" in message


def test_a_disk_that_fills_up_meanwhile(get, bucket):
    get.cache.mkdir()
    directory = get.cache / "tiny"
    import subprocess  # noqa: PLC0415

    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", directory], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        get.cache = directory
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(caching.Cache, "check_room", lambda *_arguments, **_more: None)
            assert reason(get, f"{bucket}/small/v1")[0] == "OutOfSpace"
    finally:
        subprocess.run(["umount", directory], check=True)


async def process(uri, cache, *dies_after):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", SCRIPT, uri, str(cache), *dies_after),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ,
    )


async def ended(running) -> tuple[int, str]:
    output, _ = await running.communicate()
    assert running.returncode == 0
    moved, place = output.decode().split("\n")[:-1]
    return int(moved.removeprefix("moved ")), place.removeprefix("place ")


async def test_processes_that_start_together_download_once(bucket, tmp_path):
    running = [await process(f"{bucket}/small/v1", tmp_path / "cache") for _ in range(4)]
    moved, places = zip(*[await ended(one) for one in running], strict=True)
    assert sorted(moved) == [0, 0, 0, sum(len(FILES[name]) for name in WANTED)]
    assert len(set(places)) == 1


async def test_a_download_that_was_killed_is_taken_up_where_it_stopped(bucket, tmp_path):
    killed = await process(f"{bucket}/small/v1", tmp_path / "cache", "1000000")
    assert await killed.wait() == -signal.SIGKILL
    moved, place = await ended(await process(f"{bucket}/small/v1", tmp_path / "cache"))
    assert 0 < moved < sum(len(FILES[name]) for name in WANTED)
    assert await asyncio.to_thread(_content, place) == FILES["model.safetensors"]


def _content(place: str) -> bytes:
    from pathlib import Path  # noqa: PLC0415

    return (Path(place) / "model.safetensors").read_bytes()
