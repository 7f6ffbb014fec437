"""Streams of the OpenAI API as jobs: a reader that was cut off takes the stream up again at /v1/stream."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from aiohttp import web

from realtime_serve.errors import InvalidRequest
from realtime_serve.jobs.job import Job

HEADER = "X-Resumable"


class Sink(Protocol):
    """Where the encoded events of a stream go: a connection, or a job."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    async def send(self, events: bytes) -> None:
        """Take encoded events."""


class JobSink:
    """Gives a job the events of a stream, one by one."""

    def __init__(self, job: Job) -> None:
        self._job = job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The job writes its own last event."""

    async def send(self, events: bytes) -> None:
        """Take encoded events; return when there is room for more."""
        for event in events.split(b"\n\n"):
            if event:
                await self._job.tell("", event.removeprefix(b"data: "))


def wants_resumable(request: web.Request) -> bool:
    """Whether the client asked for a stream that it can take up again."""
    match request.headers.get(HEADER, "false").lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case other:
            raise InvalidRequest(HEADER, f"{other[:32]!r}: true or false")
