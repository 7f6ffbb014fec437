"""What the readers of a job read, and how another server goes on with it."""

from __future__ import annotations

import secrets
from dataclasses import replace

import msgspec

from realtime_serve.errors import ServerLost
from realtime_serve.generation.generation import Generation
from realtime_serve.generation.request import Delta, GenerationRequest
from realtime_serve.jobs.event import TOKEN
from realtime_serve.jobs.job import Job


def seeded(request: GenerationRequest) -> GenerationRequest:
    """Return the request with a seed, so that whoever runs it again gets the same tokens."""
    if request.sampling.seed is not None:
        return request
    sampling = msgspec.structs.replace(request.sampling, seed=secrets.randbits(63))
    return replace(request, sampling=sampling)


async def tell_text(job: Job, generation: Generation) -> None:
    """Tell the job's readers each piece of text, but for what they were told before this server took the job over.

    Raises:
        ServerLost: the text becomes another than it was.

    """
    told = job.told

    async def pass_on(delta: Delta) -> None:
        nonlocal told
        known = min(len(told), len(delta.text))
        if delta.text[:known] != told[:known]:
            raise ServerLost("the server that ran this job is gone, and here its text becomes another")
        told, text = told[known:], delta.text[known:]
        if text:
            await job.tell(TOKEN, msgspec.json.encode({"text": text, "tokens": delta.completion_tokens}))

    await generation.run(pass_on)
    if told:
        raise ServerLost("the server that ran this job is gone, and here its text is shorter")
