"""Many readers, cut again and again, and a server that dies."""

from __future__ import annotations

import pytest

from bench import resume

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["memory, one server", "Redis, two servers, one killed"])
async def test_no_reader_loses_doubles_or_mixes_a_token(kind, tmp_path):
    seen = await resume.measure(kind, 24, seed=7, folder=tmp_path)
    assert (seen.wrong, seen.told, seen.whole) == ([], 0, 24)
    assert seen.cuts >= 24
