"""What ends kopf by mistake costs a new start; what ends it again and again ends the operator."""

from __future__ import annotations

import asyncio
import json
import threading

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
        self.begun = threading.Event()
        monkeypatch.setattr(kopf, "operator", self.run)

    async def run(self, *, stop_flag, **_):
        self.count += 1
        self.begun.set()
        end = self.ends.pop(0)
        if end == "until told":
            await asyncio.get_running_loop().run_in_executor(None, stop_flag.wait)
            return
        self.seconds += end
        json.loads('{"type": "MODI')


def listener(runs, pauses=(0.0, 0.0)):
    return Listener(queue=WorkQueue(), namespaces=[], pauses=pauses, clock=lambda: runs.seconds)


async def listen_until_the_last(runs, **options):
    """Tell it to stop when the run begins that ends only then."""
    stop = asyncio.Event()
    running = asyncio.create_task(listener(runs, **options).run(stop))
    while runs.ends and not running.done():
        await asyncio.to_thread(runs.begun.wait, 1)
        runs.begun.clear()
    stop.set()
    await asyncio.wait_for(running, 30)


async def test_a_broken_watch_is_begun_anew(monkeypatch):
    runs = Runs(monkeypatch, [0.1, 0.1, "until told"])
    await listen_until_the_last(runs)
    assert runs.count == 3


async def test_failing_again_and_again_is_an_error_of_ours(monkeypatch):
    runs = Runs(monkeypatch, [0.1, 0.1, 0.1, "until told"])
    with pytest.raises(json.JSONDecodeError):
        await listen_until_the_last(runs)
    assert runs.count == 3


async def test_a_failure_after_a_good_run_is_a_first_one(monkeypatch):
    runs = Runs(monkeypatch, [0.1, 0.1, STEADY + 1, 0.1, "until told"])
    await listen_until_the_last(runs)
    assert runs.count == 5


async def test_a_pause_ends_when_it_is_told_to_stop(monkeypatch):
    runs = Runs(monkeypatch, [0.1])
    await listen_until_the_last(runs, pauses=(3600.0,))
    assert runs.count == 1
