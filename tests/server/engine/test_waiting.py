"""The order of those that wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.engine.waiting import Waiting, rank


def sequence(number: int, priority: int, arrived: float) -> Sequence:
    return Sequence(number, [1], 1, Sampling(), frozenset(), priority, arrived)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.booleans()), max_size=40),
    st.integers(0, 20),
)
def test_the_order_is_that_of_rank_whoever_comes_goes_and_comes_back(arrivals, now):
    waiting, there = Waiting(), {}
    for number, (priority, arrived, goes) in enumerate(arrivals):
        there[number] = sequence(number, priority, arrived / 2)
        waiting.put(there[number])
        if goes:
            gone = next(iter(there))
            assert waiting.take(gone) is there[gone]
            assert waiting.take(gone) is None
            if number % 2:
                waiting.put(there[gone])
            else:
                del there[gone]
    assert [*waiting.in_order(now)] == sorted(there.values(), key=lambda some: rank(some, now))
    assert dict(waiting) == there


def test_who_leaves_while_the_order_is_read_takes_nobody_elses_turn():
    waiting = Waiting()
    for number in range(5):
        waiting.put(sequence(number, 1, 0.0))
    read = []
    for some in waiting.in_order(1.0):
        waiting.take(some.id)
        read.append(some.id)
    assert read == [0, 1, 2, 3, 4]
    assert not waiting
