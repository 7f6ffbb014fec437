"""A bucket gives no more than its limit in any stretch of time, and takes back what was not used."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.callers.bucket import Bucket, Quota

QUOTA = Quota(rate=1.0, capacity=10.0)


def take(bucket, amount, now, quota=QUOTA):
    return bucket.take(amount) if bucket.wait(amount, quota, now) == 0 else None


def test_a_new_caller_may_take_the_capacity_at_once_and_then_waits():
    bucket = Bucket(0.0)
    assert all(take(bucket, 1, 0.0) for _ in range(10))
    assert bucket.wait(1, QUOTA, 0.0) == pytest.approx(1.0)
    assert bucket.wait(3, QUOTA, 0.5) == pytest.approx(2.5)
    assert take(bucket, 3, 3.0)


def test_what_was_not_used_is_given_back_at_once():
    bucket = Bucket(0.0)
    hold = take(bucket, 10, 0.0)
    bucket.settle(hold, 4)
    assert bucket.wait(6, QUOTA, 0.0) == 0
    assert bucket.wait(7, QUOTA, 0.0) == pytest.approx(1.0)


def test_what_time_has_paid_is_not_given_back_again():
    bucket = Bucket(0.0)
    hold = take(bucket, 6, 0.0)
    assert take(bucket, 10, 6.0)
    bucket.settle(hold, 0)
    assert bucket.load == pytest.approx(10)


def test_settling_twice_gives_back_once():
    bucket = Bucket(0.0)
    hold = take(bucket, 5, 0.0)
    other = take(bucket, 5, 0.0)
    bucket.settle(hold, 0)
    bucket.settle(hold, 0)
    assert bucket.load == pytest.approx(5)
    bucket.settle(other, 50)
    assert bucket.load == pytest.approx(5)


def test_more_than_the_capacity_passes_a_full_bucket_and_takes_as_long_to_pay_off():
    bucket = Bucket(0.0)
    assert take(bucket, 25, 0.0)
    assert bucket.wait(1, QUOTA, 0.0) == pytest.approx(16.0)
    assert bucket.wait(25, QUOTA, 0.0) == pytest.approx(25.0)


def test_a_changed_quota_holds_at_once_and_changes_nothing_of_the_past():
    bucket = Bucket(0.0)
    take(bucket, 10, 0.0)
    assert bucket.wait(1, Quota(1.0, 20.0), 0.0) == 0
    assert bucket.wait(1, Quota(10.0, 5.0), 0.0) == pytest.approx(0.6)
    assert bucket.wait(1, Quota(10.0, 5.0), 0.7) == 0


STEPS = st.lists(
    st.tuples(
        st.floats(0, 5),  # seconds since the step before
        st.floats(0.5, 15),  # amount asked for
        st.floats(0, 1),  # share of it that is used
        st.integers(0, 4),  # steps until it is settled
    ),
    max_size=40,
)


@given(STEPS, st.floats(0.1, 5), st.floats(0.2, 12))
def test_no_stretch_of_time_sees_more_than_the_limit_and_its_burst(steps, rate, capacity):
    quota, bucket, now = Quota(rate, capacity), Bucket(0.0), 0.0
    granted, due = [], []
    for number, (pause, amount, share, delay) in enumerate(steps):
        now += pause
        for at, hold, used in due:
            if at == number:
                bucket.settle(hold, used)
        if (hold := take(bucket, amount, now, quota)) is not None:
            granted.append((now, amount, amount * share))
            due.append((number + 1 + delay, hold, amount * share))
    for first, last in itertools.combinations_with_replacement(range(len(granted)), 2):
        window = granted[first : last + 1]
        used = sum(use for _, _, use in window)
        largest = max(amount for _, amount, _ in window)
        seconds = window[-1][0] - window[0][0]
        assert used <= max(capacity, largest) + rate * seconds + 1e-6


@given(STEPS, st.floats(0.1, 5), st.floats(0.2, 12))
def test_what_is_given_back_is_never_more_than_was_reserved(steps, rate, capacity):
    quota, bucket, now = Quota(rate, capacity), Bucket(0.0), 0.0
    for pause, amount, share, _ in steps:
        now += pause
        if (hold := take(bucket, amount, now, quota)) is not None:
            before = bucket.load
            bucket.settle(hold, amount * share)
            assert before - amount - 1e-6 <= bucket.load <= before + 1e-6
        assert bucket.load >= 0


@given(STEPS, st.floats(0.1, 5), st.floats(0.2, 12))
def test_a_caller_that_waits_as_long_as_it_is_told_gets_in(steps, rate, capacity):
    quota, bucket, now = Quota(rate, capacity), Bucket(0.0), 0.0
    for pause, amount, _, _ in steps:
        now += pause
        now += bucket.wait(amount, quota, now)
        assert bucket.wait(amount, quota, now + 1e-6) == 0
        bucket.take(amount)


def test_time_pays_off_what_was_used():
    bucket = Bucket(0.0)
    bucket.settle(take(bucket, 10, 0.0), 10)
    assert bucket.wait(4, QUOTA, 4.0) == 0
    running = take(bucket, 4, 4.0)
    assert bucket.wait(10, QUOTA, 10.0) == pytest.approx(4.0)
    bucket.settle(running, 0)  # time has paid for what was used, not for this
    assert bucket.wait(10, QUOTA, 10.0) == 0
