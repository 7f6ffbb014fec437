"""The client for asyncio, and many requests at once."""

from __future__ import annotations

import asyncio
from typing import Any

import openai

from bench.openai_checks.check import GREEDY, HELLO, CheckFailed, Checks, Subject, equal, refused

check = Checks()

AT_ONCE = 32
LONG: dict[str, Any] = {"max_tokens": 200, "extra_body": {"ignore_eos": True}}


@check
async def the_async_client_gets_an_answer(subject: Subject) -> None:
    done = await subject.both.chat.completions.create(model=subject.model, messages=HELLO, **GREEDY)
    equal(done.usage.completion_tokens, 24)


@check
async def the_async_client_streams_the_same_text(subject: Subject) -> None:
    stream = await subject.both.completions.create(
        model=subject.model, prompt="Once upon", stream=True, **GREEDY
    )
    text = "".join([chunk.choices[0].text async for chunk in stream])
    equal(text, (await asyncio.to_thread(lambda: subject.say(**GREEDY))).choices[0].text)


@check
async def the_async_client_lists_models(subject: Subject) -> None:
    names = [model.id async for model in subject.both.models.list()]
    equal(subject.model in names, True)


@check
async def the_async_client_is_told_what_is_wrong(subject: Subject) -> None:
    with refused(openai.BadRequestError, "n", "invalid_value"):
        await subject.both.chat.completions.create(model=subject.model, messages=HELLO, n=-1)


@check
async def many_streams_at_once_are_each_whole(subject: Subject) -> None:
    async def tokens(number: int) -> int:
        stream = await subject.both.completions.create(
            model=subject.model,
            prompt=f"Story {number}",
            stream=True,
            stream_options={"include_usage": True},
            **GREEDY,
        )
        chunks = [chunk async for chunk in stream]
        return chunks[-1].usage.completion_tokens if chunks[-1].usage else 0

    equal(await asyncio.gather(*map(tokens, range(AT_ONCE))), [24] * AT_ONCE)


@check
async def a_cancelled_task_leaves_the_others_alone(subject: Subject) -> None:
    async def read(begun: asyncio.Event) -> int:
        stream = await subject.both.completions.create(
            model=subject.model, prompt="Once", stream=True, **LONG
        )
        count = 0
        async for _ in stream:
            begun.set()
            count += 1
        return count

    events = [asyncio.Event() for _ in range(6)]
    tasks = [asyncio.create_task(read(event)) for event in events]
    await asyncio.gather(*[event.wait() for event in events])
    for task in tasks[::2]:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    equal([isinstance(end, int) for end in ends[1::2]], [True] * 3)


@check
async def a_hasty_async_client_gives_up_by_itself(subject: Subject) -> None:
    hasty = subject.both.with_options(timeout=0.01, max_retries=0)
    try:
        await hasty.completions.create(model=subject.model, prompt="a", **LONG)
    except openai.APITimeoutError:
        return
    raise CheckFailed("it was not too long")
