"""How many pods the load asks for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.scaling.demand import Low, decide, read_low, recommend
from inference_operator.spec.live import Autoscaling
from tests.operator.model_cluster import START


def asked(load_, current, silent=0, **bounds):
    return recommend(load_, silent, current, Autoscaling(**({"max_replicas": 100} | bounds)))


@pytest.mark.parametrize(
    ("load_", "current", "pods_"),
    [
        (24, 1, 1),
        (26, 1, 1),
        (27, 1, 2),
        (48, 2, 2),
        (120, 4, 5),
        (44, 2, 2),
        (43, 2, 2),
        (40, 2, 2),
        (24, 2, 1),
        (0, 3, 1),
    ],
)
def test_pods_follow_the_load_but_for_a_tolerance_of_a_tenth(load_, current, pods_):
    assert asked(load_, current) == pods_


def test_one_step_up_at_most_doubles_or_adds_four():
    assert asked(10_000, 1) == 5
    assert asked(10_000, 10) == 20


def test_bounds_hold():
    assert asked(10_000, 3, max_replicas=4) == 4
    assert asked(0, 3, min_replicas=2) == 2


def test_a_silent_pod_counts_as_full_on_the_way_down_and_as_idle_on_the_way_up():
    assert asked(24, 3, silent=2) == 3
    assert asked(24, 3, silent=1) == 2
    assert asked(100, 3, silent=1) == 5


def test_less_is_asked_for_during_the_whole_window_before_a_pod_goes():
    window = timedelta(seconds=300)
    first = decide(START, 4, 2, None, window)
    assert (first.pods, first.low) == (4, Low(START, 2))
    later = decide(START + window / 2, 4, 3, first.low, window)
    assert later.low == Low(START, 3)
    assert decide(START + window, 4, 1, later.low, window).pods == 3
    assert decide(START + window / 2, 4, 4, first.low, window).low is None


def test_the_window_is_written_and_read():
    low = Low(START, 3)
    assert read_low(low.written()) == low
    assert [read_low(text) for text in ("", "x 3", low.written()[:-1], "2026-01-01T12:00:00Z -1")] == [
        None
    ] * 4


@given(loads=st.lists(st.integers(0, 500), min_size=1, max_size=40), step=st.integers(1, 120))
def test_pods_never_go_while_the_last_window_asked_for_them(loads, step):
    """Oracle: the plain definition, with all that was recommended in memory."""
    window, wanted = timedelta(seconds=300), Autoscaling(max_replicas=20)
    current, low, history = 5, None, []
    for index, load_ in enumerate(loads):
        now = START + timedelta(seconds=step * index)
        asked_ = recommend(load_, 0, current, wanted)
        history.append((now, asked_))
        made = decide(now, current, asked_, low, window)
        assert made.pods >= asked_
        if made.pods < current:
            assert step * index >= 300
            recent = [pods_ for when, pods_ in history if when >= now - window]
            assert made.pods >= max(recent[1:] or recent)
        current, low = made.pods, made.low
