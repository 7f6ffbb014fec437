"""Idempotency keys in Redis: each belongs to one job, from before it is accepted until it is forgotten."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from realtime_serve.errors import IdempotencyInFlight, IdempotencyMismatch
from realtime_serve.jobs.asking import ask
from realtime_serve.jobs.store import Claim

CLAIM_SECONDS = 60  # a key whose server died before the job was accepted


class Claims:
    """The keys; those of this server's running jobs are remembered, because they last as long as the jobs."""

    def __init__(self, commands: Any, prefix: str) -> None:
        self._commands = commands
        self._prefix = prefix
        self._held: dict[str, str] = {}

    async def take(
        self, claim: Claim, job_id: str, *, is_kept: Callable[[str], Awaitable[bool]]
    ) -> str | None:
        """See `store.Store.claim`."""
        mine, name = _value(claim, job_id, accepted=False), self._prefix + claim.key
        for _ in range(2):
            if await ask(self._commands.set(name, mine, nx=True, ex=CLAIM_SECONDS)):
                return None
            held = json.loads(await ask(self._commands.get(name)) or b"{}")
            if not held:
                continue  # it has just run out
            if held["body"] != claim.body:
                raise IdempotencyMismatch
            if not held["accepted"]:
                raise IdempotencyInFlight
            if await is_kept(held["job"]):
                return str(held["job"])
            await ask(self._commands.delete(name))  # its job is gone
        raise IdempotencyInFlight

    async def release(self, claim: Claim) -> None:
        """See `store.Store.release`."""
        await ask(self._commands.delete(self._prefix + claim.key))

    def accept(self, pipe: Any, claim: Claim, job_id: str, *, kept: int) -> None:
        """The job is accepted: its key lasts as long as it may run, in seconds."""
        name = self._held[job_id] = self._prefix + claim.key
        pipe.set(name, _value(claim, job_id, accepted=True), ex=kept)

    async def end(self, job_id: str, *, kept: int) -> None:
        """The job is over: its key, if it has one, lasts so many seconds longer."""
        if (name := self._held.get(job_id)) is not None:
            await ask(self._commands.expire(name, kept))

    def forget(self, job_id: str) -> None:
        """The job no longer runs here."""
        self._held.pop(job_id, None)


def _value(claim: Claim, job_id: str, *, accepted: bool) -> str:
    return json.dumps({"job": job_id, "body": claim.body, "accepted": accepted})
