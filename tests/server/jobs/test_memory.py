"""The ring of a job's events, and what is forgotten when."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.errors import IdempotencyInFlight, IdempotencyMismatch, JobGone
from realtime_serve.jobs.card import Card, State, Timings, new_job_id
from realtime_serve.jobs.event import Event
from realtime_serve.jobs.memory import MemoryStore
from realtime_serve.jobs.store import FIRST_READER_SECONDS, Claim, Order

PATIENCE = 30


class Bench:
    """A store with a clock that is moved by hand."""

    def __init__(self, window: float = 60.0, **bounds: int) -> None:
        self.now = 0.0
        self.store = MemoryStore(lambda: window, clock=lambda: self.now, **bounds)

    async def open(self, events: int = 0, claim: Claim | None = None) -> Card:
        card = Card(
            job_id=new_job_id(), model="chat", kind="chat", request_id="r", metrics=Timings(t_start=0.0)
        )
        await self.store.open(card, claim)
        for number in range(1, events + 1):
            await self.append(card, number)
        return card

    async def append(self, card: Card, number: int) -> None:
        await self.store.append(card, Event(number, "token", b"%d" % number))

    async def close(self, card: Card, number: int) -> None:
        over = msgspec.structs.replace(card, state=State.COMPLETE)
        await self.store.close(over, Event(number, "job_complete", b"{}"))

    async def ids(self, card: Card, after: int = 0) -> list[int]:
        async with self.store.reader(card.job_id, after) as reader:
            return [event.id for event in (await reader.read(wait=False)).events]


async def test_a_full_ring_forgets_the_oldest_event_and_says_so_to_who_needs_it():
    bench = Bench(events_a_job=4)
    card = await bench.open(events=6)
    assert await bench.ids(card, after=2) == [3, 4, 5, 6]
    with pytest.raises(JobGone, match="event 2 is no longer kept"):
        await bench.ids(card, after=1)


async def test_the_writer_waits_for_an_attached_reader_that_lags_by_a_whole_ring():
    bench = Bench(events_a_job=4)
    card = await bench.open(events=4)
    async with bench.store.reader(card.job_id, 0) as reader:
        writing = asyncio.create_task(bench.append(card, 5))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not writing.done()
        assert [event.id for event in (await reader.read(wait=True)).events] == [1, 2, 3, 4]
        await asyncio.wait_for(writing, PATIENCE)
        assert [event.id for event in (await reader.read(wait=True)).events] == [5]


async def test_the_writer_goes_on_when_the_reader_that_lagged_leaves():
    bench = Bench(events_a_job=1)
    card = await bench.open(events=1)
    async with bench.store.reader(card.job_id, 0):
        writing = asyncio.create_task(bench.append(card, 2))
        await asyncio.sleep(0)
    await asyncio.wait_for(writing, PATIENCE)


async def test_the_end_of_a_job_takes_no_event_from_a_reader_that_lags():
    bench = Bench(events_a_job=4)
    card = await bench.open(events=4)
    async with bench.store.reader(card.job_id, 0) as reader:
        closing = asyncio.create_task(bench.close(card, 5))
        await asyncio.sleep(0)
        assert [event.id for event in (await reader.read(wait=True)).events] == [1, 2, 3, 4, 5]
    await asyncio.wait_for(closing, PATIENCE)


async def test_the_end_waits_until_attached_readers_have_it():
    bench = Bench()
    card = await bench.open(events=1)
    async with bench.store.reader(card.job_id, 0) as reader:
        closing = asyncio.create_task(bench.close(card, 2))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        page = await reader.read(wait=True)
        assert page.over
        await asyncio.wait_for(closing, PATIENCE)


async def test_a_first_reader_has_longer_than_a_short_window():
    bench = Bench(window=0)
    card = await bench.open(events=1)
    bench.now = FIRST_READER_SECONDS - 1
    assert await bench.store.orders([card.job_id]) == {}
    bench.now = FIRST_READER_SECONDS
    assert await bench.store.orders([card.job_id]) == {card.job_id: Order.FORSAKEN}


async def test_an_ended_job_is_kept_for_the_window_and_then_gone_with_its_key():
    bench = Bench(window=60)
    claim = Claim("key", "body")
    assert await bench.store.claim(claim, "job") is None
    card = await bench.open(events=1, claim=claim)
    await bench.close(card, 2)
    bench.now = 59
    await bench.store.orders([])
    assert await bench.ids(card) == [1, 2]  # which begins its window anew
    bench.now = 59 + 60
    await bench.store.orders([])
    with pytest.raises(JobGone):
        await bench.ids(card)
    assert await bench.store.claim(claim, "job") is None


async def test_ended_jobs_are_bounded_in_number_the_oldest_going_first():
    bench = Bench(ended_jobs=2)
    cards = [await bench.open(events=1) for _ in range(3)]
    for card in cards:
        await bench.close(card, 2)
    with pytest.raises(JobGone):
        await bench.ids(cards[0])
    assert [await bench.ids(card) for card in cards[1:]] == [[1, 2], [1, 2]]


async def test_ended_jobs_are_bounded_in_bytes():
    bench = Bench(bytes_of_ended_jobs=5000)
    cards = [await bench.open(events=10) for _ in range(4)]
    for card in cards:
        await bench.close(card, 11)
    assert len(bench.store._rings) == 2


async def test_a_key_is_in_flight_until_its_job_is_accepted():
    bench = Bench()
    claim = Claim("key", "body")
    card = await bench.open()
    await bench.store.claim(claim, "another")
    with pytest.raises(IdempotencyInFlight):
        await bench.store.claim(claim, "third")
    await bench.store.release(claim)
    assert await bench.store.claim(claim, card.job_id) is None
    assert await bench.store.claim(claim, "third") == card.job_id
    with pytest.raises(IdempotencyMismatch):
        await bench.store.claim(Claim("key", "other"), "third")


@given(
    capacity=st.integers(1, 8),
    moves=st.lists(
        st.tuples(st.sampled_from(["write", "read", "leave", "back"]), st.integers(0, 2)), max_size=60
    ),
)
async def test_whatever_readers_do_each_sees_every_event_once_or_is_told_that_it_is_gone(capacity, moves):
    bench = Bench(events_a_job=capacity)
    card = await bench.open()
    written, seen, lost = 0, dict.fromkeys(range(3), 0), set()
    attached: dict[int, tuple] = {}
    writing: asyncio.Task | None = None
    for move, who in moves:
        if move == "write" and (writing is None or writing.done()):
            written += 1
            writing = asyncio.create_task(bench.append(card, written))
        elif move == "back" and who not in attached and who not in lost:
            context = bench.store.reader(card.job_id, seen[who])
            attached[who] = context, await context.__aenter__()
        elif move == "leave" and who in attached:
            await attached.pop(who)[0].__aexit__(None, None, None)
        elif move == "read" and who in attached:
            try:
                events = (await attached[who][1].read(wait=False)).events
            except JobGone:
                lost.add(who)
                await attached.pop(who)[0].__aexit__(None, None, None)
                continue
            assert [event.id for event in events] == list(range(seen[who] + 1, seen[who] + 1 + len(events)))
            seen[who] += len(events)
        await asyncio.sleep(0)
        assert len(bench.store._rings[card.job_id]._events) <= capacity
    if writing is not None:
        writing.cancel()
