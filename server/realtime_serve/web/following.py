"""A job's events to one reader, from where it stopped before."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from realtime_serve.errors import InvalidRequest, JobGone, JobUnknown, StoreUnavailable
from realtime_serve.jobs.card import is_job_id
from realtime_serve.jobs.event import Event
from realtime_serve.jobs.jobs import Jobs
from realtime_serve.settings.runtime import Streaming
from realtime_serve.web.keys import MODEL_VERSION
from realtime_serve.web.sse import EventStream

RETRY = b"retry: 1000\n\n"  # milliseconds; how long an EventSource waits before it comes back

_LONGEST_ID = 15  # digits


async def follow(
    request: web.Request, jobs: Jobs, job_id: str, *, after: int, streaming: Streaming
) -> web.StreamResponse:
    """Write the events after this one, as they come, to the job's end; 204 when it ended and nothing is left."""
    async with jobs.reader(job_id, after) as reader:
        page = await reader.read(wait=False)
        if page.over and not page.events:
            return web.Response(status=HTTPStatus.NO_CONTENT)  # tells an EventSource to come no more
        request[MODEL_VERSION] = (await jobs.card(job_id)).version
        stream = EventStream(request, streaming)
        stream.response.headers["X-Job-Id"] = job_id
        try:
            async with stream:
                await stream.send(RETRY)
                while True:
                    if page.events:
                        await stream.send(b"".join(map(encode, page.events)))
                    if page.over:
                        break
                    page = await reader.read(wait=True)
        except (JobGone, StoreUnavailable):
            _hang_up(request)
        return stream.response


def encode(event: Event) -> bytes:
    """Return the event as its reader gets it."""
    name = f"event: {event.name}\n" if event.name else ""
    return f"id: {event.id}\n{name}data: ".encode() + event.data + b"\n\n"


def position(request: web.Request) -> int:
    """Return the last event that the reader has: the header counts, because an EventSource that comes back keeps its URL."""
    text = request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise InvalidRequest("Last-Event-ID", f"{text[:32]!r} is no id of an event: a whole number")
    return int(text)


def known(job_id: str) -> str:
    """Return the id, if it has the form of one.

    Raises:
        JobUnknown: it has not.

    """
    if not is_job_id(job_id):
        raise JobUnknown(f"no job {job_id[:64]!r}")
    return job_id


def _hang_up(request: web.Request) -> None:
    """The answer has begun, so its end is all that can be told; whoever asks again is told why."""
    if request.transport is not None:
        request.transport.close()
