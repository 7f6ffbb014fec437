"""One real server, with a tiny model, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server_process import ServerProcess
from tests.support.tiny_models import write_model


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    process = ServerProcess(
        write_model(folder / "model", max_position_embeddings=2048), folder / "server.log"
    )
    process.start()
    yield process
    process.stop()
