"""Threads that come and go between steps, and tokens that do not care."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch

from realtime_serve.model import crew as room
from realtime_serve.model.crew import EVERY_SECONDS, Crew
from tests.support.driving import Driver
from tests.support.tiny_models import END, continuation

PROMPTS = [[(7 * number + 3 * place) % 250 for place in range(1 + 5 * number)] for number in range(4)]


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Kernel:
    """Tells what threads ran and waited, at a time of its own."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.ran, self.waited = 0.0, 0.0, 0.0
        monkeypatch.setattr(room.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(room, "run_and_delay", lambda: (self.ran, self.waited))

    def pass_by(self, seconds: float, *, ran: float, waited: float) -> None:
        self.now += seconds
        self.ran += ran
        self.waited += waited


@pytest.fixture
def kernel(monkeypatch):
    return Kernel(monkeypatch)


def test_a_thread_less_while_another_process_wants_a_core_and_all_when_it_has_gone(kernel):
    crew = Crew(2)
    kernel.pass_by(1.0, ran=1.4, waited=0.6)
    crew.look()
    assert torch.get_num_threads() == 1
    kernel.pass_by(3.0, ran=3.0, waited=0.0)
    crew.look()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("seconds", "busy"), [(EVERY_SECONDS / 2, 1.0), (1.0, 0.01)])
def test_too_little_time_says_nothing(kernel, seconds, busy):
    crew = Crew(2)
    kernel.pass_by(1.0, ran=1.0, waited=0.0)
    crew.look()
    kernel.pass_by(seconds, ran=0.0, waited=busy)
    crew.look()
    assert torch.get_num_threads() == 2


def test_one_core_and_a_kernel_that_does_not_tell_are_left_alone(kernel, monkeypatch):
    one = Crew(1)
    monkeypatch.setattr(room, "tells_delays", lambda: False)
    silent = Crew(2)
    for crew, count in ((silent, 2), (one, 1)):
        torch.set_num_threads(count)
        kernel.pass_by(1.0, ran=1.0, waited=9.0)
        crew.look()
        assert torch.get_num_threads() == count


def test_a_kernel_that_stops_telling_fails_no_step(kernel, monkeypatch, caplog):
    def refuse():
        raise OSError(24, "too many open files")

    crew = Crew(2)
    monkeypatch.setattr(room, "run_and_delay", refuse)
    for _ in range(2):
        kernel.pass_by(1.0, ran=1.0, waited=1.0)
        crew.look()
    assert torch.get_num_threads() == 2
    assert [record.message for record in caplog.records] == ["threads no longer follow the free cores"]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_tokens_are_the_same_whatever_threads_compute_them(tiny, load, monkeypatch, family):
    counts = cycle([1, 2, 2, 1, 3])
    monkeypatch.setattr(Crew, "look", lambda _: torch.set_num_threads(next(counts)))
    directory, oracle = tiny(family)
    driver = Driver(load(directory), max_batch_size=3, max_batch_tokens=24)
    wanted = {driver.add(prompt, 20, stop_ids=[END]): continuation(oracle, prompt, 20) for prompt in PROMPTS}
    driver.finish()
    assert {number: outcome.tokens for number, outcome in driver.outcomes.items()} == wanted
