"""A front end over the echo engine, which answers a prompt with that prompt, again and again; and the whole server."""

from __future__ import annotations

import pytest

from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end
from tests.support.server_process import ServerProcess
from tests.support.tiny_models import write_model


@pytest.fixture(scope="session")
def real_server(tmp_path_factory):
    """The whole server as a process, with a small random model."""
    directory = tmp_path_factory.mktemp("real")
    running = ServerProcess(write_model(directory / "model"), directory / "server.log")
    running.start("--dtype=float32")
    yield running
    running.stop()


@pytest.fixture
async def front(directory):
    async with front_end(echo_engine(directory)) as running:
        yield running
