"""One real Redis for all tests of a run; every store has keys of its own in it."""

from __future__ import annotations

import itertools

import pytest

from tests.support.redis_server import redis_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def prefix():
    return f"test{next(_numbers)}:"
