"""Who runs when: batches, chunks, classes, ageing, preemption, holds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine.messages import FinishReason
from realtime_serve.engine.scheduler import CHUNK_TOKENS, LEAST_CHUNK_TOKENS, PASSED
from realtime_serve.engine.waiting import AGE_SECONDS
from tests.support.driving import Driver, MemoryRunner, expected


def driver(count: int = 64, size: int = 4, **batching) -> Driver:
    return Driver(MemoryRunner(count=count, size=size), **batching)


def ids(batch) -> list[int]:
    return [row.sequence.id for row in batch.rows]


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


TEXTS = [[number, *range(60)] for number in range(4)]
PREFIX = list(range(40)) * 2
"""80 tokens: 20 pages."""


def test_who_begins_with_the_same_tokens_shares_their_pages():
    engine = driver(count=64, size=4)
    first = engine.add([*PREFIX, 90], 9)
    engine.step()
    others = [engine.add([*PREFIX, number], 9) for number in range(3)]
    engine.step()
    assert [row.start for row in engine.batches[-1].rows[1:]] == [80, 80, 80]
    assert engine.pages.held == 20 + 4 * 1, "the prefix once, and a page each"
    engine.finish()
    assert engine.pages.free == 64
    for number, last in zip([first, *others], [90, 0, 1, 2], strict=True):
        assert engine.outcomes[number].tokens == expected([*PREFIX, last], 9)


def test_those_that_come_at_once_read_what_one_of_them_computes_in_the_same_step():
    engine = driver(count=1024, size=4, max_batch_size=32)
    for number in range(32):
        engine.add([*PREFIX, number], 2)
    engine.step()
    assert [row.start for row in engine.batches[0].rows] == [0] + 31 * [80]
    engine.finish()
    assert engine.runner.computed == 81 + 31 + 32
    for number in range(32):
        assert engine.outcomes[number].tokens == expected([*PREFIX, number], 2)


def test_those_that_come_at_once_wait_for_the_one_whose_step_does_not_reach_so_far():
    engine = driver(count=1024, size=4, max_batch_size=32, max_batch_tokens=64)
    for number in range(4):
        engine.add([*TEXTS[0], *PREFIX, number], 2)
    other = engine.add([7, 8, 9], 2)
    engine.finish()
    assert [ids(batch) for batch in engine.batches[:3]] == [[0], [0], [0, 1, 2, 3, other]]
    assert engine.runner.computed == 142 + 3 * 2 + 3 + 5, "140 tokens are 35 pages, shared by all"
    assert engine.outcomes[other].tokens == expected([7, 8, 9], 2)


def test_a_batch_tells_what_prompts_asked_for_and_found():
    engine = driver(count=64, size=4)
    for number in range(3):
        engine.add([*PREFIX, number], 9)
    engine.step()
    assert (engine.batches[0].asked, engine.batches[0].found) == (3 * 81, 2 * 80)
    assert engine.pages.usage == (20 + 3) / 64
    engine.scheduler._preempt(engine.scheduler.running[2])
    engine.step()
    assert engine.batches[1].admitted == [2]
    assert (engine.batches[1].asked, engine.batches[1].found) == (0, 0), "it is counted once"


def test_a_step_passes_over_a_bounded_number_of_those_that_wait_for_another_one():
    engine = driver(count=4096, size=4, max_batch_tokens=64)
    for number in range(2 * PASSED):
        engine.add([*PREFIX, number], 1)
    late = engine.add([7, 8, 9], 1)
    engine.step()
    assert ids(engine.batches[0]) == [0]
    looked_at = [sequence for sequence in engine.scheduler.waiting.values() if sequence.names]
    assert len(looked_at) <= PASSED
    engine.finish()
    assert engine.outcomes[late].tokens == expected([7, 8, 9], 1)


def test_nobody_waits_for_a_held_one():
    engine = driver(count=1024, size=4, max_batch_tokens=32)
    slow = engine.add([*PREFIX, 1], 2)
    engine.step()
    other = engine.add([*PREFIX, 2], 2)
    engine.step()
    assert ids(engine.batches[-1]) == [slow]
    engine.scheduler.hold(slow, held=True)
    engine.step()
    assert ids(engine.batches[-1]) == [other]


def test_pages_that_nobody_holds_stay_until_their_place_is_wanted_and_the_oldest_go_first():
    engine = driver(count=8, size=4)
    for text in ([1] * 13, [2] * 13, [1] * 13):
        engine.add(text, 1)
        engine.finish()
    assert [batch.rows[0].start for batch in engine.batches] == [0, 0, 12]
    engine.add([3] * 17, 1)  # takes pages of the text that was used less lately
    engine.finish()
    for text, known in (([1] * 13, 12), ([2] * 13, 0)):
        engine.add(text, 1)
        engine.finish()
        assert engine.batches[-1].rows[0].start == known


def test_a_sequence_that_stepped_back_finds_again_what_is_left_of_its_pages():
    engine = driver(count=64, size=4)
    number = engine.add(PREFIX, 20)
    for _ in range(10):
        engine.step()
    engine.scheduler._preempt(engine.scheduler.running[number])
    engine.step()
    assert engine.batches[-1].rows[0].start == 88
    engine.finish()
    assert engine.outcomes[number].tokens == expected(PREFIX, 20)


def test_pages_of_a_step_that_failed_are_wiped_and_found_by_nobody():
    engine = driver(count=30, size=4)
    broken = engine.add(PREFIX, 9)
    engine.step()
    engine.fail_step()
    assert engine.outcomes[broken].finish == FinishReason.ERROR
    again = engine.add(PREFIX, 9)
    engine.step()
    assert engine.batches[-1].rows[0].start == 0
    assert len(engine.batches[-1].clean) == 20
    engine.finish()
    assert engine.outcomes[again].tokens == expected(PREFIX, 9)


def test_a_thousand_aborts_at_any_moment_leave_no_page_held():
    engine, chance = driver(count=48, size=4, max_batch_size=6, max_batch_tokens=32), random.Random(5)
    alive = []
    for _ in range(1000):
        alive += [engine.add(TEXTS[chance.randrange(4)][: chance.randint(1, 60)], 30) for _ in range(2)]
        for _ in range(chance.randrange(3)):
            engine.step(0.05)
        alive = [number for number in alive if not engine.outcomes[number].finish]
        for _ in range(min(len(alive), 2)):
            engine.abort(alive.pop(chance.randrange(len(alive))))
    for number in alive:
        engine.abort(number)
    assert sum(outcome.finish == FinishReason.ABORT for outcome in engine.outcomes.values()) >= 1000
    assert (engine.pages.held, engine.pages.free) == (0, 48)


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
