"""What ends kopf by mistake costs a new start; what ends it again and again ends the operator."""

from __future__ import annotations

import asyncio
import json

import kopf
import pytest

from inference_operator.controller.queue import WorkQueue
from inference_operator.listener import STEADY, Listener


class Runs:
    """kopf's place: each run ends as the next of `ends` says."""

    def __init__(self, monkeypatch, ends):
        self.ends = list(ends)
        self.count = 0
        self.seconds = 0.0
        monkeypatch.setattr(kopf, "operator", self.run)

    async def run(self, *, ready_flag, stop_flag, **_):
        self.count += 1
        ready_flag.set()
        end = self.ends.pop(0)
        if end == "stop":
            stop_flag.set()
            return
        self.seconds += end
        json.loads('{"type": "MODI')


def listener(runs, pauses=(0.0, 0.0), on_ready=lambda: None):
    return Listener(
        queue=WorkQueue(), namespaces=[], on_ready=on_ready, pauses=pauses, clock=lambda: runs.seconds
    )


async def test_a_broken_watch_is_begun_anew(monkeypatch):
    runs = Runs(monkeypatch, [0.1, 0.1, "stop"])
    await listener(runs).run(asyncio.Event())
    assert runs.count == 3


async def test_failing_again_and_again_is_an_error_of_ours(monkeypatch):
    runs = Runs(monkeypatch, [0.1, 0.1, 0.1, "stop"])
    with pytest.raises(json.JSONDecodeError):
        await listener(runs).run(asyncio.Event())
    assert runs.count == 3


async def test_a_failure_after_a_good_run_is_a_first_one(monkeypatch):
    runs = Runs(monkeypatch, [0.1, 0.1, STEADY + 1, 0.1, "stop"])
    await listener(runs).run(asyncio.Event())
    assert runs.count == 5


async def test_a_pause_ends_when_it_is_told_to_stop(monkeypatch):
    runs = Runs(monkeypatch, [0.1])
    stop, begun = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(listener(runs, pauses=(3600.0,), on_ready=begun.set).run(stop))
    await begun.wait()
    stop.set()
    await asyncio.wait_for(running, 10)
