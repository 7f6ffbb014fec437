"""Orders to drain, and the end of the process."""

from __future__ import annotations

import pytest

from realtime_serve.generation.draining import STILL_SERVED_SECONDS, Drain

ORDER = b'realtime-serve.io/drain="2026-01-01T00:00:00Z"\n'


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def drain(clock) -> Drain:
    return Drain(clock)


async def test_requests_are_served_for_a_while_after_the_order_and_then_refused(drain, clock):
    await drain.obey(ORDER)
    assert (drain.active, drain.refuses, drain.terminating) == (True, False, False)
    clock.now += STILL_SERVED_SECONDS
    assert drain.refuses


async def test_an_order_seen_again_does_not_begin_anew(drain, clock):
    await drain.obey(ORDER)
    clock.now += STILL_SERVED_SECONDS
    await drain.obey(ORDER + b'another="1"\n')
    assert drain.refuses


async def test_an_order_can_be_taken_back(drain, clock):
    await drain.obey(ORDER)
    clock.now += STILL_SERVED_SECONDS
    await drain.obey(b'another="1"\n')
    assert (drain.active, drain.refuses) == (False, False)


async def test_annotations_that_cannot_be_read_change_nothing(drain):
    await drain.obey(ORDER)
    await drain.obey(FileNotFoundError(2, "No such file or directory"))
    assert drain.active


async def test_the_end_of_the_process_cannot_be_taken_back(drain, clock):
    drain.terminate()
    await drain.obey(b"")
    assert (drain.active, drain.terminating, drain.refuses) == (True, True, False)
    clock.now += STILL_SERVED_SECONDS
    assert drain.refuses


async def test_the_end_after_an_order_keeps_the_time_of_the_order(drain, clock):
    await drain.obey(ORDER)
    clock.now += STILL_SERVED_SECONDS
    drain.terminate()
    assert drain.refuses


async def test_a_server_that_retires_serves_on_until_it_is_told_to_drain(drain):
    retire = b'realtime-serve.io/retire="2026-01-01T00:00:00Z"\n'
    await drain.obey(retire)
    assert (drain.retiring, drain.active, drain.refuses) == (True, False, False)
    await drain.obey(retire + ORDER)
    assert (drain.retiring, drain.active) == (True, True)
    await drain.obey(b"")
    assert (drain.retiring, drain.active) == (False, False)
