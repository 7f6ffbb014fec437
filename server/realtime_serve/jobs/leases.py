"""Which server runs a job in Redis, and whether that server lives."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from realtime_serve.errors import StoreUnavailable
from realtime_serve.jobs.asking import ask, milliseconds
from realtime_serve.jobs.scripts import TAKE

log = logging.getLogger("realtime_serve.jobs")


class Leases:
    """A server counts as alive for as long as it renews its lease; `mine` is what this one is called."""

    def __init__(self, commands: Any, prefix: str, seconds: float) -> None:
        self.mine = secrets.token_hex(8)
        self._commands = commands
        self._prefix = prefix
        self._seconds = seconds
        self._take = commands.register_script(TAKE)

    def renew(self, pipe: Any) -> None:
        """Live on for so many seconds."""
        pipe.set(self._prefix + self.mine, "1", px=milliseconds(self._seconds))

    async def lives(self, owner: str) -> bool:
        """Whether a server's lease has not run out."""
        return bool(await ask(self._commands.exists(self._prefix + owner)))

    async def take(self, card: str, owner: str) -> bool:
        """Make a job this server's own, unless it is over or somebody else was faster than this one."""
        keys = [card, self._prefix + self.mine]
        return bool(await ask(self._take(keys=keys, args=[owner, self.mine, milliseconds(self._seconds)])))

    async def give_up(self) -> None:
        """Let nobody wait for it to run out."""
        try:
            await ask(self._commands.delete(self._prefix + self.mine))
        except StoreUnavailable as error:
            log.info("the lease could not be given up: %s", error)
