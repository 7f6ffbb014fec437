"""A generation ends when it is told to, whatever the code between does with its cancellation."""

from __future__ import annotations

import asyncio

import pytest

from realtime_serve.generation.generation import _until
from realtime_serve.generation.request import Delta


async def test_a_cancellation_that_was_swallowed_ends_it_at_the_next_piece():
    handed_on = []

    async def swallowing(delta: Delta) -> None:
        assert not handed_on, "it went on"
        handed_on.append(delta)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return

    async def run() -> None:
        async with asyncio.timeout(0.01) as scope:
            deliver = _until(scope, swallowing)
            while True:
                await deliver(Delta("a", 1, 0))

    with pytest.raises(TimeoutError):
        await run()
    assert len(handed_on) == 1
