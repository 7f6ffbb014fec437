"""A front end over the echo engine: it answers a prompt with that prompt, again and again."""

from __future__ import annotations

import pytest

from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end
from tests.support.tiny_tokenizers import write_tokenizer


@pytest.fixture
def directory(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    return write_tokenizer(model)


@pytest.fixture
async def front(directory):
    async with front_end(echo_engine(directory)) as running:
        yield running
