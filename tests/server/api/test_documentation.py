"""What the documentation of the Python API shows is what happens."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import realtime_serve

GUIDE = Path(__file__).parents[3] / "docs" / "python-api.md"
HOMES = sorted({home.partition(":")[0] for home in realtime_serve._HOMES.values()})


def test_the_guide_is_true():
    seen = doctest.testfile(str(GUIDE), module_relative=False, encoding="utf-8")
    assert (seen.failed, seen.attempted > 20) == (0, True)


def test_the_guide_uses_every_public_name():
    used = set(
        re.findall(r"\w+", " ".join(re.findall(r"^(?:>>>|\.\.\.) (.*)$", GUIDE.read_text(), re.MULTILINE)))
    )
    assert set(realtime_serve.__all__) <= used


@pytest.mark.parametrize("home", HOMES)
def test_examples_in_docstrings_are_true(home):
    assert doctest.testmod(importlib.import_module(f"realtime_serve.{home}")).failed == 0


@pytest.mark.parametrize("name", realtime_serve.__all__)
def test_every_public_name_can_be_imported_and_is_described(name):
    found = getattr(realtime_serve, name)
    assert found.__doc__
    assert name in dir(realtime_serve)


def test_an_unknown_name_is_told_as_by_any_module():
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = realtime_serve.Nothing
