"""kopf's end harms nothing but kopf, and comes even where kopf waits for ever."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import kopf
import pytest

from inference_operator.errors import OperatorError
from inference_operator.kopf_thread import KopfThread

PATIENCE = 30


class TornLine(Exception):
    """What a watch raises."""


def told(_key):
    raise AssertionError("nothing happens here that could be told")


async def end(registry):
    """As kopf calls the cleanup handlers when its root tasks have ended."""
    for handler in registry._activities.get_all_handlers():
        if handler.activity == kopf._core.intents.causes.Activity.CLEANUP:
            await handler.fn()


async def live(monkeypatch, kopf_operator):
    monkeypatch.setattr(kopf, "operator", kopf_operator)
    await asyncio.wait_for(KopfThread(told, []).start(), PATIENCE)


async def test_it_runs_in_a_loop_of_its_own(monkeypatch):
    seen = []

    async def operator(**_):
        seen.append((threading.current_thread(), asyncio.get_running_loop()))

    await live(monkeypatch, operator)
    assert seen[0][0] is not threading.current_thread()
    assert seen[0][1] is not asyncio.get_running_loop()


async def test_a_watcher_that_swallows_its_cancellation_keeps_the_reason_and_holds_nothing_up(monkeypatch):
    async def stubborn(pauser):
        """As kopf's watchers are: cancelled together with what pauses them, they begin once more."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not pauser[0].done():
                    raise
            pauser[0] = asyncio.create_task(asyncio.Event().wait())

    async def operator(registry, **_):
        pauser = [asyncio.create_task(asyncio.Event().wait())]
        watcher = asyncio.create_task(stubborn(pauser))
        await asyncio.sleep(0)
        await end(registry)
        for task in (pauser[0], watcher):
            task.cancel()
        await asyncio.wait((watcher,))
        raise TornLine

    with pytest.raises(TornLine):
        await live(monkeypatch, operator)


async def test_a_kopf_that_waits_for_nothing_that_ends_is_stopped_by_force(monkeypatch):
    async def operator(registry, **_):
        await end(registry)
        await asyncio.Event().wait()

    with pytest.raises(OperatorError, match="by force"):
        await live(monkeypatch, operator)


async def test_a_kopf_that_swallows_even_that_is_left_behind(monkeypatch):
    async def operator(registry, **_):
        await end(registry)
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    with pytest.raises(OperatorError, match="by force"):
        await live(monkeypatch, operator)
