"""A model's directory with a tokenizer and no weights, as much as the echo engine needs."""

from __future__ import annotations

import pytest

from tests.support.tiny_tokenizers import write_tokenizer


@pytest.fixture
def directory(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    return write_tokenizer(model)
