"""How many tokens a step computes for nothing: by what steps of few and of many take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine import pace
from realtime_serve.engine.batch import Result
from realtime_serve.engine.pace import FEW, MANY, MOST, ProbeFailed, measure_ridge, ridge


class Clock:
    """Of a machine on which a step takes `base` seconds, and `each` for every token."""

    page_count, page_size = 99, 16

    def __init__(self, base: float, each: float, error: str = "") -> None:
        self._base, self._each, self._error = base, each, error
        self.now = 0.0
        self.steps: list[int] = []

    def perf_counter(self) -> float:
        return self.now

    def run(self, batch):
        (row,) = batch.rows
        assert len(row.sequence.pages) * self.page_size >= len(row.tokens)
        self.steps.append(len(row.tokens))
        self.now += self._base + self._each * len(row.tokens)
        if len(self.steps) <= 2:
            self.now += 0.05  # what is made at first use
        return [Result(5, self._error)]


@pytest.fixture
def measured(monkeypatch):
    def measure(clock: Clock, longest: int = 1000) -> int:
        monkeypatch.setattr(pace, "time", clock)
        return measure_ridge(clock, longest)

    return measure


@pytest.mark.parametrize(
    ("base", "each", "found"), [(0.02, 0.001, 20), (0.004, 0.00001, 400), (0.001, 0.01, 0), (0.1, 0.0, MOST)]
)
def test_it_is_where_computing_takes_as_long_as_all_else(measured, base, each, found):
    assert abs(measured(Clock(base, each)) - found) <= 1


def test_a_slow_model_is_tried_but_once(measured):
    clock = Clock(3.0, 0.1)
    measured(clock)
    assert clock.steps == [FEW, MANY]


def test_no_prompt_is_longer_than_the_model_takes(measured):
    clock = Clock(0.02, 0.001)
    assert abs(measured(clock, 33) - 20) <= 1
    assert max(clock.steps) == 32


def test_nothing_is_tried_where_no_prompt_is_long_enough(measured):
    clock = Clock(0.02, 0.001)
    assert measured(clock, FEW + 1) == 0
    assert clock.steps == []


def test_an_error_is_told(measured):
    with pytest.raises(ProbeFailed, match="no such token"):
        measured(Clock(0.02, 0.001, "no such token"))


@given(few=st.floats(1e-9, 1e3), many=st.floats(1e-9, 1e3), tokens=st.integers(FEW + 1, MANY))
def test_whatever_is_measured_it_is_a_number_of_tokens(few, many, tokens):
    assert 0 <= ridge(few, many, tokens) <= MOST
