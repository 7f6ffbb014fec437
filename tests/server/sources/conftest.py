"""Sources over real servers, and what was told of the transfer."""

from __future__ import annotations

import pytest

from hack.objects.store import files_of, serving
from realtime_serve.settings.source import Source
from realtime_serve.sources.cache import Cache
from realtime_serve.sources.fetching import fetch
from realtime_serve.sources.meter import Meter

FILES = {
    "config.json": b"{}",
    "model.safetensors": bytes(range(256)) * 80_000,  # more than one piece of a transfer
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"a pickle",
}


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    directory = tmp_path_factory.mktemp("weights")
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    return directory


@pytest.fixture(scope="session")
def store(weights):
    extra = {"broken/readme.png": weights / "config.json", "packed/small.tar.gz": _packed(weights)}
    with serving({**files_of(weights, "small/v1"), **extra}) as running:
        yield running


@pytest.fixture
def bucket(store, monkeypatch):
    """The uri of the bucket, with the environment that opens it."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{store.bucket}"


@pytest.fixture
def get(tmp_path):
    """Fetch into a cache of this test; returns the directory. `get.meter` has the last transfer."""

    def fetch_it(uri: str, *, revision: str = "main", sha256: str = ""):
        fetch_it.meter = Meter(fetch_it.told.append)
        return fetch(Source(uri, revision, sha256), Cache(fetch_it.cache), fetch_it.meter)

    fetch_it.told = []
    fetch_it.cache = tmp_path / "cache"
    return fetch_it


def _packed(weights):
    import tarfile  # noqa: PLC0415

    path = weights.parent / "small.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(weights, arcname="small")
    return path
