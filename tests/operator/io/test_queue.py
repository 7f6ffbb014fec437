"""The work queue, in virtual time: a clock that only the test moves."""

import asyncio
import heapq
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.controller.queue import Backoff, QueueStopped, WorkQueue


class Planned:
    def __init__(self, when, callback):
        self._when, self.callback, self.cancelled = when, callback, False

    def when(self):
        return self._when

    def cancel(self):
        self.cancelled = True


class VirtualTimer:
    """Time that stands still until `advance`."""

    def __init__(self):
        self.now = 0.0
        self.planned = []
        self.order = count()

    def time(self):
        return self.now

    def call_at(self, when, callback):
        planned = Planned(when, callback)
        heapq.heappush(self.planned, (when, next(self.order), planned))
        return planned

    def advance(self, seconds):
        end = self.now + seconds
        while self.planned and self.planned[0][0] <= end:
            self.now, _, planned = heapq.heappop(self.planned)
            if not planned.cancelled:
                planned.callback()
        self.now = end


@pytest.fixture
def timer():
    return VirtualTimer()


@pytest.fixture
def queue(timer):
    return WorkQueue(timer=timer, backoff=Backoff(first=1, longest=8), chance=lambda: 0.0)


async def test_keys_come_out_in_the_order_they_went_in(queue):
    queue.add("a")
    queue.add("b")
    assert [await queue.take(), await queue.take()] == ["a", "b"]


async def test_a_key_that_waits_already_is_not_added_twice(queue):
    queue.add("a")
    queue.add("a")
    assert queue.depth == 1


async def test_a_key_is_never_with_two_workers(queue):
    queue.add("a")
    await queue.take()
    queue.add("a")
    assert queue.depth == 0


async def test_a_key_that_was_added_while_it_was_worked_on_comes_once_more(queue):
    queue.add("a")
    await queue.take()
    queue.add("a")
    queue.add("a")
    queue.done("a")
    assert queue.depth == 1
    assert await queue.take() == "a"
    queue.done("a")
    assert queue.depth == 0


async def test_a_worker_that_waits_is_woken(queue):
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add("a")
    assert await taking == "a"


async def test_a_key_for_later_comes_later_and_not_before(queue, timer):
    queue.add_after("a", 5)
    timer.advance(4.9)
    assert queue.depth == 0
    timer.advance(0.1)
    assert queue.depth == 1


@pytest.mark.parametrize("delays", [(5, 2), (2, 5)])
async def test_of_two_times_the_earlier_holds(queue, timer, delays):
    for delay in delays:
        queue.add_after("a", delay)
    timer.advance(2)
    assert await queue.take() == "a"
    queue.done("a")
    timer.advance(10)
    assert queue.depth == 0


async def test_a_run_replaces_the_recheck_that_was_planned_before_it(queue, timer):
    queue.add_after("a", 5)
    queue.add("a")
    await queue.take()
    queue.done("a")
    timer.advance(60)
    assert queue.depth == 0


async def test_failures_wait_ever_longer_up_to_a_bound(queue):
    assert [queue.retry("a") for _ in range(6)] == [1, 2, 4, 8, 8, 8]


async def test_failures_of_one_key_delay_no_other(queue, timer):
    for _ in range(4):
        queue.retry("a")
    assert queue.retry("b") == 1
    timer.advance(1)
    assert sorted([await queue.take(), await queue.take()]) == [
        "a",
        "b",
    ]  # the first retry of "a" still holds


async def test_a_success_makes_the_next_failure_the_first(queue):
    queue.retry("a")
    queue.retry("a")
    queue.forget("a")
    assert queue.retry("a") == 1


async def test_an_event_does_not_wait_for_the_backoff(queue):
    queue.retry("a")
    queue.add("a")
    assert await queue.take() == "a"


async def test_the_age_is_that_of_the_key_that_waits_longest(queue, timer):
    assert queue.oldest == 0
    queue.add("a")
    timer.advance(3)
    queue.add("b")
    timer.advance(1)
    assert queue.oldest == 4
    await queue.take()
    assert queue.oldest == 1


async def test_after_the_stop_nothing_is_given_out(queue, timer):
    queue.add("a")
    queue.add_after("b", 1)
    queue.stop()
    queue.add("c")
    timer.advance(2)
    with pytest.raises(QueueStopped):
        await queue.take()


async def test_the_stop_wakes_workers_that_wait(queue):
    taking = [asyncio.create_task(queue.take()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.stop()
    outcomes = await asyncio.gather(*taking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [QueueStopped] * 3


@given(st.integers(1, 2000), st.floats(0, 0.999))
def test_a_backoff_is_never_nothing_and_never_endless(failures, chance):
    assert 0.2 <= Backoff().delay(failures, chance) <= 72


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "later", "retry", "take", "done", "wait"]), st.sampled_from("abc"))
    )
)
def test_no_order_of_calls_loses_a_key_or_gives_it_out_twice(calls):
    asyncio.run(play(calls))


async def play(calls):
    timer = VirtualTimer()
    queue = WorkQueue(timer=timer, backoff=Backoff(first=1, longest=8), chance=lambda: 0.0)
    owed, running = set(), set()
    for call, key in calls:
        match call:
            case "add":
                queue.add(key)
                owed.add(key)
            case "later":
                queue.add_after(key, 3)
                owed.add(key)
            case "retry":
                queue.retry(key)
                owed.add(key)
            case "wait":
                timer.advance(2)
            case "take" if queue.depth:
                taken = await queue.take()
                assert taken not in running
                running.add(taken)
                owed.discard(taken)
            case "done" if running:
                queue.done(running.pop())
    for key in running:
        queue.done(key)
    timer.advance(100)
    given_out = [await queue.take() for _ in range(queue.depth)]
    assert set(given_out) == owed
    assert len(given_out) == len(owed)
