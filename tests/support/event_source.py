"""What a browser's EventSource does, by hand: reads a job's events, remembers the last id, comes back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from realtime_serve.jobs.event import LAST


@dataclass
class Seen:
    id: int
    name: str
    data: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class EventSource:
    """One reader of one job, over as many connections as it takes."""

    client: aiohttp.ClientSession
    job_id: str
    seen: list[Seen] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def last_id(self) -> int:
        return self.seen[-1].id if self.seen else 0

    @property
    def text(self) -> str:
        return "".join(event.json["text"] for event in self.seen if event.name == "token")

    @property
    def end(self) -> Seen:
        assert self.over, self.seen[-3:]
        return self.seen[-1]

    @property
    def over(self) -> bool:
        return bool(self.seen) and self.seen[-1].name in LAST

    async def read(self, count: int | None = None) -> int:
        """Read so many events on one connection, then cut it; all there are without a count. Returns the status."""
        headers = {"Last-Event-ID": str(self.last_id)} if self.seen else {}
        target = f"/v1/stream?job_id={self.job_id}"
        async with self.client.get(target, headers=headers) as response:
            self.statuses.append(response.status)
            if response.status == 200:
                await self._take(response, count)
            response.close()
        return self.statuses[-1]

    async def _take(self, response: aiohttp.ClientResponse, count: int | None) -> None:
        left = count
        while left is None or left > 0:
            try:
                block = (await response.content.readuntil(b"\n\n")).decode()
            except aiohttp.ClientPayloadError:
                return
            if not block:
                return
            left = self._book(block, left)

    def _book(self, block: str, left: int | None) -> int | None:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":") and line)
        if "id" not in fields:
            self.comments.append(block)
            return left
        event = Seen(int(fields["id"]), fields.get("event", ""), fields["data"])
        assert event.id == self.last_id + 1, "an event was lost or came twice"
        self.seen.append(event)
        return None if left is None else left - 1
