"""What is said of a version's errors and latency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.generation.tally import Tally, VersionTally, Window


@pytest.mark.parametrize(
    ("outcome", "taken", "counts"),
    [
        ("stop", True, (1, 0)),
        ("engine_error", True, (1, 1)),
        ("request_timeout", True, (1, 1)),
        ("internal_error", True, (1, 1)),
        ("model_not_ready", False, (1, 1)),
        ("client_disconnected", True, (1, 0)),
        ("reader_idle", True, (1, 0)),
        ("invalid_value", False, (0, 0)),
        ("overloaded", False, (0, 0)),
        ("draining", False, (0, 0)),
    ],
)
def test_a_version_answers_for_what_it_failed_to_do(outcome, taken, counts):
    version = VersionTally()
    version.end(outcome, taken=taken, now=0.0)
    assert (version.requests, version.errors) == counts


def test_versions_are_told_apart():
    tally = Tally()
    tally.of("chat", "1").requests += 1
    assert tally.of("chat", "2").requests == tally.of("code", "1").requests == 0
    assert tally.of("chat", "1").requests == 1


def test_a_window_without_samples_has_no_percentiles():
    assert Window().percentiles(0.0) == (0, None, None, None)


def test_percentiles_are_samples_and_old_ones_are_gone():
    window = Window(seconds=60)
    for second in range(100):
        window.add(float(second), now=float(second))
    assert window.percentiles(99.0) == (60, 70.0, 97.0, 99.0)
    assert window.percentiles(158.9) == (1, 99.0, 99.0, 99.0)
    assert window.percentiles(159.0).samples == 0


@given(st.lists(st.floats(0, 100)))
def test_a_window_is_bounded(values):
    window = Window(most=10)
    for value in values:
        window.add(value, now=0.0)
    seen = window.percentiles(1.0)
    assert seen.samples == min(10, len(values))
    assert values == [] or min(values) <= seen.p50 <= seen.p95 <= seen.p99 <= max(values)
