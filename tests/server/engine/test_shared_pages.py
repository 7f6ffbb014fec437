"""Pages of equal beginnings: computed once, read by all, kept while nobody wants their place."""

from __future__ import annotations

import random

from realtime_serve.engine.messages import FinishReason
from realtime_serve.engine.scheduler import PASSED
from tests.support.driving import driver, expected, ids

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
