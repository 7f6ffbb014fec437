"""Who runs when: batches, chunks, classes, ageing, preemption, holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine.messages import FinishReason
from realtime_serve.engine.scheduler import CHUNK_TOKENS, LEAST_CHUNK_TOKENS
from realtime_serve.engine.waiting import AGE_SECONDS
from tests.support.driving import driver, expected, ids


def test_sequences_join_and_leave_between_any_two_steps():
    engine = driver(max_batch_size=8)
    first = engine.add([1, 2, 3], 3)
    engine.step()
    second = engine.add([4, 5], 4)
    engine.step()
    engine.step()
    engine.step()
    assert [ids(batch) for batch in engine.batches] == [[first], [first, second], [first, second], [second]]
    engine.finish()
    assert engine.outcomes[second].tokens == expected([4, 5], 4)


def test_a_stop_token_ends_the_sequence_and_is_its_last():
    engine = driver()
    stop = expected([1, 2, 3], 9)[4]
    number = engine.add([1, 2, 3], 100, stop_ids=[stop])
    engine.finish()
    outcome = engine.outcomes[number]
    assert outcome.finish == FinishReason.STOP
    assert outcome.tokens == expected([1, 2, 3], 9)[: expected([1, 2, 3], 9).index(stop) + 1]


def test_a_long_prompt_is_read_in_chunks_while_the_others_go_on():
    engine = driver(count=1024, size=16)
    short = engine.add([1], 50)
    engine.step()
    long = engine.add([2] * (3 * CHUNK_TOKENS), 2)
    for _ in range(3):
        engine.step()
        assert ids(engine.batches[-1]) == [short, long]
        assert len(engine.batches[-1].rows[1].tokens) <= CHUNK_TOKENS
    assert len(engine.outcomes[short].tokens) == 4
    engine.finish()
    assert engine.outcomes[long].tokens == expected([2] * (3 * CHUNK_TOKENS), 2)


@pytest.mark.parametrize(
    ("decoding", "ridge", "tokens"),
    [
        (16, 0, LEAST_CHUNK_TOKENS),
        (16, 10, LEAST_CHUNK_TOKENS),
        (48, 0, 48),
        (16, 100, 116),
        (16, 4000, CHUNK_TOKENS),
    ],
)
def test_one_prompt_among_many_that_decode_at_most_doubles_a_step(decoding, ridge, tokens):
    engine = driver(count=1024, size=16, max_batch_size=64)
    engine.scheduler.ridge = ridge
    for number in range(decoding):
        engine.add([number], 50)
    engine.step()
    engine.add([2] * (3 * CHUNK_TOKENS), 2)
    for _ in range(3):
        engine.step()
        (chunk,) = engine.batches[-1].rows[decoding:]
        assert len(chunk.tokens) == tokens


def test_the_more_wait_for_their_first_token_the_more_prompt_tokens_has_a_step():
    engine = driver(count=1024, size=16)
    for number in range(8):
        engine.add([number], 50)
    engine.step()
    for number in range(4):
        engine.add([20 + number] * 200, 2)
    engine.step()
    assert sum(len(row.tokens) for row in engine.batches[-1].rows[8:]) == CHUNK_TOKENS // 2


def test_when_pages_run_out_the_newest_steps_back_and_its_tokens_stay_the_same():
    engine = driver(count=8, size=4)
    numbers = [engine.add([number] * 6, 20) for number in range(3)]
    engine.finish()
    assert any(row.start == 0 and row.sequence.generated for batch in engine.batches for row in batch.rows)
    for number in numbers:
        assert engine.outcomes[number].tokens == expected([number] * 6, 20)


def test_a_later_one_of_a_higher_class_takes_the_pages_of_an_earlier_one_in_the_same_step():
    engine = driver(count=4, size=4)
    low = engine.add([1] * 4, 9, priority=2)
    engine.step()
    high = engine.add([2] * 7, 9, priority=0)
    engine.step()
    while low in engine.scheduler.running:
        engine.step()
    assert ids(engine.batches[-1]) == [high]
    engine.finish()
    assert engine.outcomes[low].tokens == expected([1] * 4, 9)


def test_a_held_one_steps_back_before_all_others():
    engine = driver(count=4, size=4)
    held, other = engine.add([1] * 7, 9), engine.add([2] * 7, 9)
    engine.step()
    engine.scheduler.hold(held, held=True)
    for _ in range(3):
        engine.step()
    assert [ids(batch) for batch in engine.batches] == [[held, other], [other], [other], [other]]
    assert [batch.decoding for batch in engine.batches] == [0, 1, 1, 1], (
        "the other one was never computed again"
    )
    engine.scheduler.hold(held, held=False)
    engine.finish()
    assert engine.outcomes[held].tokens == expected([1] * 7, 9)


def test_the_higher_class_is_admitted_first():
    engine = driver(max_batch_size=1)
    running = engine.add([1], 2)
    engine.step()
    low, high = engine.add([2], 1, priority=2), engine.add([3], 1, priority=0)
    engine.finish()
    assert [ids(batch) for batch in engine.batches] == [[running], [running], [high], [low]]


@given(
    size=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 6), min_size=30, max_size=60),
    elders=st.integers(0, 5),
    seconds=st.floats(0.05, 0.5),
)
def test_under_a_flood_of_high_a_low_one_is_overtaken_by_nobody_once_it_has_aged(
    size, lengths, elders, seconds
):
    engine = driver(max_batch_size=size)
    for length in lengths[:elders]:
        engine.add([1], length, priority=0)
    low = engine.add([2], 1, priority=2)
    arrived, late = engine.now, []
    for length in lengths * 6:
        engine.add([3], length, priority=0)
        before = set(engine.scheduler.running)
        aged = engine.now + seconds - arrived >= 2 * AGE_SECONDS
        engine.step(seconds)
        admitted = {row.sequence.id for row in engine.batches[-1].rows if row.start == 0} - before
        if low in admitted or engine.outcomes[low].finish:
            break
        if aged:
            late += [number for number in admitted if number > low]
    assert engine.outcomes[low].finish, "it starved"
    assert late == []


def test_a_held_sequence_keeps_its_pages_and_goes_on_where_it_was():
    engine = driver()
    number = engine.add([1, 2], 10)
    engine.step()
    engine.scheduler.hold(number, held=True)
    pages = list(engine.scheduler.running[number].pages)
    assert engine.scheduler.forms_at() is None
    engine.scheduler.hold(number, held=False)
    engine.step()
    assert engine.scheduler.running[number].pages == pages
    assert engine.batches[-1].decoding == 1
    engine.finish()
    assert engine.outcomes[number].tokens == expected([1, 2], 10)


def test_held_sequences_give_their_places_to_waiting_ones():
    engine = driver(count=4, size=4, max_batch_size=2)
    slow = [engine.add([number] * 5, 3) for number in range(2)]
    engine.step()
    for number in slow:
        engine.scheduler.hold(number, held=True)
    quick = engine.add([9] * 5, 3)
    while not engine.outcomes[quick].finish:
        engine.step()
    for number in slow:
        engine.scheduler.hold(number, held=False)
    engine.finish()
    assert all(engine.outcomes[number].tokens == expected([number] * 5, 3) for number in slow)


def test_a_smaller_one_does_not_overtake_a_large_one_that_waits_for_pages():
    engine = driver(count=8, size=4)
    running = engine.add([1] * 20, 4)
    engine.step()
    large, small = engine.add([2] * 16, 1), engine.add([3], 1)
    engine.step()
    assert ids(engine.batches[-1]) == [running]
    engine.finish()
    first = {
        row.sequence.id: index
        for index, batch in reversed([*enumerate(engine.batches)])
        for row in batch.rows
    }
    assert first[large] <= first[small]


def test_an_idle_engine_waits_for_company_as_told():
    engine = driver(max_wait_ms=100, dynamic=False, max_batch_size=3)
    assert engine.scheduler.forms_at() is None
    engine.now = 1.0
    engine.add([1], 1)
    assert engine.scheduler.forms_at() == 1.1
    engine.add([2], 1)
    engine.add([3], 1)
    assert engine.scheduler.forms_at() == 0.0, "the batch is full"


def test_dynamic_waits_only_while_requests_keep_coming():
    engine = driver(max_wait_ms=100, dynamic=True)
    engine.now = 1.0
    engine.add([1], 1)
    alone = engine.scheduler.forms_at()
    engine.now = 1.01
    engine.add([2], 1)
    assert alone < engine.scheduler.forms_at() < 1.1


def test_a_running_batch_waits_for_nobody():
    engine = driver(max_wait_ms=10_000)
    engine.add([1], 5)
    engine.step()
    engine.add([2], 1)
    assert engine.scheduler.forms_at() == 0.0


def test_a_low_one_under_a_flood_of_high_ones_is_done_within_its_bound():
    """Two classes to rise, then those that were there before it: their number and length bound its wait."""
    engine, size, length, step = driver(max_batch_size=4, count=256), 4, 6, 0.05
    for _ in range(size):
        engine.add([1], length, priority=0)
    low = engine.add([2], 1, priority=2)
    while not engine.outcomes[low].finish:
        for _ in range(2):
            engine.add([3], length, priority=0)
        engine.step(step)
        waited = engine.now
        elders = 2 * (2 * AGE_SECONDS / step) / size  # rounds of those that came before it had aged
        assert waited <= 2 * AGE_SECONDS + (elders + 2) * length * step
    assert engine.outcomes[low].tokens == expected([2], 1)
