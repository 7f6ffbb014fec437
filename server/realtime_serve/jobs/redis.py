"""Jobs in Redis Streams: any server can replay them, also when the one that ran them has died.

The keys of a job: its events (a stream whose ids are `<number>-0`), its card, and a mark that it has a reader. A job belongs
to the server that began it for as long as that server renews its lease. When the lease has run out, the server at which the job is
read makes it its own and goes on with it; a server that was only slow can write no more. What cannot be gone on with gets its last event.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import msgspec

from realtime_serve.errors import InvalidRequest, JobCancelled, JobGone, ServerLost, StoreUnavailable
from realtime_serve.jobs.asking import SOCKET_SECONDS, ask, connect, milliseconds, rows_of
from realtime_serve.jobs.attached import Attached
from realtime_serve.jobs.card import Card, State
from realtime_serve.jobs.claims import Claims
from realtime_serve.jobs.event import TOKEN, Event, Page
from realtime_serve.jobs.leases import Leases
from realtime_serve.jobs.scripts import APPEND
from realtime_serve.jobs.store import EVENTS_A_JOB, FIRST_READER_SECONDS, Claim, Heir, Order, Orphan

log = logging.getLogger("realtime_serve.jobs")

LEASE_SECONDS = 10.0
APPEND_SECONDS = 10.0  # a job whose event cannot be written for so long fails
COMMANDS_AT_ONCE = 64
READERS_AT_ONCE = 1024
EVENTS_A_READ = 512
LONGEST_BLOCK_SECONDS = 2.0


class RedisReader:
    """See `store.Reader`."""

    def __init__(self, store: RedisStore, job_id: str, after: int) -> None:
        self.position = after
        self._store = store
        self._job_id = job_id

    async def read(self, *, wait: bool) -> Page:
        """See `store.Reader`."""
        page = await self._store.page(self._job_id, self.position, block=0.0)
        while wait and not page.events and not page.over:
            page = await self._store.page(self._job_id, self.position, block=LONGEST_BLOCK_SECONDS)
        if page.events:
            self.position = page.events[-1].id
            self._store.attached.moved()
        return page


class RedisStore:
    """See `store.Store`. One Redis, not a cluster of them."""

    def __init__(
        self,
        url: str,
        *,
        window: Callable[[], float],
        longest_job: Callable[[], float],
        prefix: str = "realtime-serve:",
        events_a_job: int = EVENTS_A_JOB,
        lease_seconds: float = LEASE_SECONDS,
        append_seconds: float = APPEND_SECONDS,
    ) -> None:
        self.attached = Attached()
        self._window = window
        self._longest_job = longest_job
        self._prefix = prefix
        self._events_a_job = events_a_job
        self._append_seconds = append_seconds
        self._commands = connect(url, COMMANDS_AT_ONCE, SOCKET_SECONDS)
        self._blocking = connect(url, READERS_AT_ONCE, SOCKET_SECONDS + LONGEST_BLOCK_SECONDS)
        self._append = self._commands.register_script(APPEND)
        self._written: dict[str, Card] = {}  # the card of each running job, as it is in Redis
        self._leases = Leases(self._commands, f"{prefix}owner:", lease_seconds)
        self._heir: Heir | None = None
        self._claims = Claims(self._commands, f"{prefix}claim:")
        self._touched: dict[str, float] = {}

    async def claim(self, claim: Claim, job_id: str) -> str | None:
        """See `store.Store`."""
        return await self._claims.take(claim, job_id, is_kept=self._is_kept)

    async def release(self, claim: Claim) -> None:
        """See `store.Store`."""
        await self._claims.release(claim)

    def inherit(self, heir: Heir) -> None:
        """See `store.Store`."""
        self._heir = heir

    async def open(self, card: Card, claim: Claim | None, request: bytes = b"") -> None:
        """See `store.Store`."""
        job_id, kept = card.job_id, self._kept_while_running
        async with self._commands.pipeline(transaction=True) as pipe:
            self._leases.renew(pipe)
            pipe.hset(
                self._key(job_id, "card"),
                mapping={"card": msgspec.json.encode(card), "owner": self._leases.mine, "request": request},
            )
            pipe.expire(self._key(job_id, "card"), kept)
            pipe.set(
                self._key(job_id, "reader"), "1", px=milliseconds(max(self._window(), FIRST_READER_SECONDS))
            )
            if claim is not None:
                self._claims.accept(pipe, claim, job_id, kept=kept)
            await ask(pipe.execute())
        self._written[job_id] = card

    async def append(self, card: Card, event: Event) -> None:
        """See `store.Store`. A Redis that is away is waited for, and so is the sequence."""
        match await self._write(card, event, kept=self._kept_while_running):
            case b"cancel":
                raise JobCancelled(Order.CANCEL.value)
            case b"ok":
                return
            case b"over":
                raise StoreUnavailable(
                    "the job was ended elsewhere: this server was not heard of for too long"
                )
            case _:
                raise StoreUnavailable("the store has lost the job")

    async def close(self, card: Card, event: Event) -> None:
        """See `store.Store`."""
        kept = max(1, round(max(self._window(), FIRST_READER_SECONDS)))
        try:
            await self._write(card, event, kept=kept)
            await self._claims.end(card.job_id, kept=kept)
            await self.attached.have(card.job_id, event.id)
        finally:
            self._written.pop(card.job_id, None)
            self._claims.forget(card.job_id)

    async def card(self, job_id: str) -> Card:
        """See `store.Store`."""
        card, owner = await self._look(job_id)
        await self._touch(job_id)
        if not card.over and not await self._leases.lives(owner):
            return await self._inherit(card, owner)
        return card

    async def order_cancel(self, job_id: str) -> None:
        """See `store.Store`: the owner sees it at its next event, or when it looks."""
        await ask(self._commands.set(self._key(job_id, "reader"), "cancel", ex=self._kept_while_running))

    async def orders(self, job_ids: Iterable[str]) -> Mapping[str, Order]:
        """See `store.Store`."""
        ids = tuple(job_ids)
        async with self._commands.pipeline(transaction=False) as pipe:
            self._leases.renew(pipe)
            if ids:
                pipe.mget([self._key(job_id, "reader") for job_id in ids])
            answers = await ask(pipe.execute())
        marks = dict(zip(ids, answers[1], strict=True)) if ids else {}
        what = {None: Order.FORSAKEN, b"cancel": Order.CANCEL}
        return {job_id: what[mark] for job_id, mark in marks.items() if mark in what}

    @asynccontextmanager
    async def reader(self, job_id: str, after: int) -> AsyncIterator[RedisReader]:
        """See `store.Store`."""
        reader = RedisReader(self, job_id, after)
        with self.attached.reading(job_id, reader):
            try:
                yield reader
            finally:
                self._touched.pop(job_id, None)
                await self._touch(job_id)

    async def page(self, job_id: str, after: int, *, block: float) -> Page:
        """Return the events after this one; wait so many seconds for the first. For the readers."""
        await self._touch(job_id)
        events = await self._events(job_id, after, block=block)
        if events:
            return Page(events, events[-1].last)
        card, owner = await self._look(job_id)
        if not card.over and not await self._leases.lives(owner):
            card = await self._inherit(card, owner)
        if card.over and (events := await self._events(job_id, after, block=0.0)):
            return Page(events, events[-1].last)  # it ended between the two looks
        if after and after > (last := await self._last_id(job_id)):
            raise InvalidRequest("Last-Event-ID", f"the last event of this job is {last}")
        return Page((), card.over)

    async def stop(self) -> None:
        """See `store.Store`: the lease is given up, so that no reader waits for it to run out."""
        await self._leases.give_up()
        await self._commands.aclose()
        await self._blocking.aclose()

    async def _events(self, job_id: str, after: int, *, block: float) -> list[Event]:
        client = self._blocking if block else self._commands
        found = await ask(
            client.xread(
                {self._key(job_id, "events"): f"{after}-0"},
                count=EVENTS_A_READ,
                block=milliseconds(block) if block else None,
            )
        )
        rows = rows_of(found)
        events = [Event(int(row_id.split(b"-")[0]), row[b"n"].decode(), row[b"d"]) for row_id, row in rows]
        if events and events[0].id != after + 1:
            raise JobGone(f"event {after + 1} is no longer kept: the oldest one is {events[0].id}")
        return events

    async def _last_id(self, job_id: str) -> int:
        rows = await ask(self._commands.xrevrange(self._key(job_id, "events"), count=1))
        return int(rows[0][0].split(b"-")[0]) if rows else 0

    async def _write(self, card: Card, event: Event, *, kept: int) -> bytes:
        """Run the script until Redis answers; it may run twice for one event."""
        job_id = card.job_id
        news = b"" if self._written.get(job_id) is card else msgspec.json.encode(card)
        keys = [self._key(job_id, part) for part in ("events", "card", "reader")]
        arguments: list[bytes | str | int] = [
            event.id,
            event.name,
            event.data,
            self._events_a_job,
            kept,
            news,
            int(event.last),
            self._leases.mine,
        ]
        deadline = time.monotonic() + self._append_seconds
        pause = 0.05
        while True:
            try:
                answer: bytes = await ask(self._append(keys=keys, args=arguments))
            except StoreUnavailable:
                if time.monotonic() + pause > deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
            else:
                if job_id in self._written:
                    self._written[job_id] = card
                return answer

    async def _is_kept(self, job_id: str) -> bool:
        return bool(await ask(self._commands.exists(self._key(job_id, "card"))))

    async def _look(self, job_id: str) -> tuple[Card, str]:
        card, owner = await ask(self._commands.hmget(self._key(job_id, "card"), ["card", "owner"]))
        if card is None:
            raise JobGone(f"{job_id} is no longer kept: its window has ended")
        return msgspec.json.decode(card, type=Card), owner.decode()

    async def _inherit(self, card: Card, owner: str) -> Card:
        """The server that ran the job is gone: go on in its place, or end it, unless somebody else does already."""
        job_id = card.job_id
        if self._heir is not None and self._heir.not_yet(card):
            return card
        if not await self._leases.take(self._key(job_id, "card"), owner):
            return (await self._look(job_id))[0]
        request = await ask(self._commands.hget(self._key(job_id, "card"), "request"))
        rows = await ask(self._commands.xrange(self._key(job_id, "events")))
        last = int(rows[-1][0].split(b"-")[0]) if rows else 0
        if self._heir is not None and request and last == len(rows):
            texts = [msgspec.json.decode(row[b"d"])["text"] for _, row in rows if row[b"n"] == TOKEN.encode()]
            self._written[job_id] = card
            if self._heir.take_over(Orphan(card, request, last, "".join(texts))):
                return card
        return await self._bury(card, last)

    async def _bury(self, card: Card, last: int) -> Card:
        lost = ServerLost()
        ended = msgspec.structs.replace(card, state=State.ERROR, reason=lost.code, message=str(lost))
        event = Event(last + 1, f"job_{ended.state}", msgspec.json.encode(ended.public()))
        await self._write(ended, event, kept=max(1, round(max(self._window(), FIRST_READER_SECONDS))))
        log.warning("job", extra={"fields": {"job_id": ended.job_id, "reason": ended.reason}})
        return ended

    async def _touch(self, job_id: str) -> None:
        """The job has a reader now, and until the window has passed."""
        window, now = self._window(), time.monotonic()
        if now - self._touched.get(job_id, -1e9) < min(window / 4, 1.0):
            return
        kept = milliseconds(max(window, 1.0))
        async with self._commands.pipeline(transaction=False) as pipe:
            pipe.set(self._key(job_id, "reader"), "1", px=kept, nx=True)
            pipe.pexpire(self._key(job_id, "reader"), kept)
            for part in ("events", "card"):
                pipe.pexpire(self._key(job_id, part), kept, gt=True)
            await ask(pipe.execute())
        if self.attached.readers(job_id):
            self._touched[job_id] = now

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    @property
    def _kept_while_running(self) -> int:
        return round(self._longest_job() + max(self._window(), FIRST_READER_SECONDS))
