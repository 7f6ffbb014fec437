"""Generations written as answers of the OpenAI API, streamed or whole."""

from __future__ import annotations

import time

from aiohttp import web

from realtime_serve.errors import ReaderIdle, RequestError
from realtime_serve.generation.generation import Generation
from realtime_serve.generation.request import Delta, Usage
from realtime_serve.generation.serving import Serving
from realtime_serve.jobs.job import Job
from realtime_serve.settings.runtime import Streaming
from realtime_serve.web.errors import body_of
from realtime_serve.web.following import follow
from realtime_serve.web.keys import JOBS, MODEL_VERSION, TICKET
from realtime_serve.web.openai.reading import Wish
from realtime_serve.web.openai.resumable import JobSink, Sink, wants_resumable
from realtime_serve.web.openai.shapes import DONE, ChatShape, CompletionShape, Shape, UsageInChunks
from realtime_serve.web.sse import EventStream
from realtime_serve.web.writing import send_json


async def answer(request: web.Request, serving: Serving, wish: Wish) -> web.StreamResponse:
    """Run the generation and write its answer; the request counts as active until that is done."""
    if wish.stream and wants_resumable(request):
        return await _resumable(request, serving, wish)
    async with serving.accept(wish.request) as generation:
        request[TICKET] = generation.ticket
        request[MODEL_VERSION] = generation.version
        shape = _shape(wish, generation.version)
        if wish.stream:
            stream = EventStream(request, serving.settings.current.streaming)
            await _stream(stream, generation, shape, wish)
            return stream.response
        return await _whole(request, generation, shape, serving.settings.current.streaming)


async def _whole(
    request: web.Request, generation: Generation, shape: Shape, streaming: Streaming
) -> web.StreamResponse:
    deltas: list[Delta] = []

    async def keep(delta: Delta) -> None:
        deltas.append(delta)

    outcome = await generation.run(keep)
    body = shape.whole(deltas, outcome)
    return await send_json(request, body, idle_seconds=streaming.idle_timeout_seconds)


async def _resumable(request: web.Request, serving: Serving, wish: Wish) -> web.StreamResponse:
    async def speak(job: Job, generation: Generation) -> None:
        await _stream(JobSink(job), generation, _shape(wish, generation.version), wish)

    jobs = request.app[JOBS]
    card = await jobs.begin(wish.request, speak)
    return await follow(request, jobs, card.job_id, after=0, streaming=serving.settings.current.streaming)


async def _stream(events: Sink, generation: Generation, shape: Shape, wish: Wish) -> None:
    async def pass_on(delta: Delta) -> None:
        usage = (
            Usage(generation.prompt_tokens, generation.completion_tokens) if wish.continuous_usage else None
        )
        await events.send(shape.delta(delta, usage))

    async with events:
        try:
            await events.send(b"".join(shape.first(index) for index in range(generation.count)))
            outcome = await generation.run(pass_on)
        except ReaderIdle:
            raise  # there is nobody to tell
        except RequestError as error:
            await events.send(b"data: " + body_of(error) + b"\n\n")
            return
        usage = shape.usage(outcome.usage) if wish.include_usage else b""
        await events.send(shape.last(outcome) + usage + DONE)


def _shape(wish: Wish, version: str) -> Shape:
    kind = ChatShape if wish.request.kind == "chat" else CompletionShape
    usage: UsageInChunks = "all" if wish.continuous_usage else "null" if wish.include_usage else "no"
    return kind(
        request_id=wish.request.id,
        model=wish.request.model,
        version=version,
        created=int(time.time()),
        usage_in_chunks=usage,
    )
