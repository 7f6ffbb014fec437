"""How many threads multiply: never none, fewer while they wait, all again when nothing is in their way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine.crowding import PATIENCE_SECONDS, Crowding

FREE, TAKEN = (1.0, 0.0), (2.0, 1.0)


def test_a_process_on_one_of_two_cores_leaves_one_thread():
    crowding = Crowding(2)
    assert crowding.look(*FREE, now=0.0) == 2
    assert crowding.look(*TAKEN, now=1.0) == 1


def test_a_second_engine_on_eight_cores_leaves_half_of_them():
    assert Crowding(8).look(1.0, 1.0, now=0.0) == 4


def test_more_threads_are_tried_after_a_while_and_less_often_each_time_that_it_fails():
    crowding = Crowding(2)
    crowding.look(*TAKEN, now=0.0)
    tries, now = [], 0.0
    while len(tries) < 8:
        now += 1.0
        if crowding.look(*FREE, now=now) == 2:
            tries.append(now)
            crowding.look(*TAKEN, now=now)
    pauses = [after - before for before, after in zip([0.0, *tries], tries, strict=False)]
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_try_that_holds_is_forgotten():
    crowding = Crowding(2)
    for now in (0.0, 1.0):
        crowding.look(*TAKEN, now=now)
    assert [crowding.look(*FREE, now=now) for now in (2.0, 3.0, 4.0)] == [1, 2, 2]
    crowding.look(*TAKEN, now=10.0)
    assert [crowding.look(*FREE, now=now) for now in (11.0, 12.0)] == [1, 2]


@given(
    cores=st.integers(1, 64),
    looks=st.lists(
        st.tuples(st.floats(0, 100), st.floats(0.001, 100), st.floats(0, 30)), min_size=1, max_size=30
    ),
)
def test_there_is_always_a_thread_and_in_the_end_there_are_all(cores, looks):
    crowding, now = Crowding(cores), 0.0
    for ran, waited, later in looks:
        now += later
        before = crowding.threads
        found = crowding.look(ran, waited, now)
        assert 1 <= found <= cores
        assert found <= before or waited <= (ran + waited) / 4
    for _ in range(cores.bit_length() + 1):
        now += PATIENCE_SECONDS[1]
        crowding.look(*FREE, now=now)
    assert crowding.threads == cores
