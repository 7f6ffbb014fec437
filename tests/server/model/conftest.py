"""Tiny models, loaded once for a run of tests."""

from __future__ import annotations

import pytest

from realtime_serve.engine.messages import Load
from realtime_serve.model.loading import load_runner
from tests.support.tiny_models import reference, write_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """(directory, oracle) of a family; each is made once."""
    made = {}

    def make(family):
        if family not in made:
            directory = write_model(tmp_path_factory.mktemp(family), family)
            made[family] = (directory, reference(directory))
        return made[family]

    return make


@pytest.fixture(scope="session")
def load():
    """A runner for a directory, in float32 unless told otherwise."""

    def make(directory, capture=None, **more):
        wanted = Load(str(directory), **{"dtype": "float32", "device": "cpu", **more})
        return load_runner(wanted, report=lambda _: None, capture=capture)

    return make
