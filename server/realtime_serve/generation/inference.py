"""A generation as programs ask for it: an object in, an object or a stream of tokens out."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from realtime_serve.callers.caller import ANYONE, Caller
from realtime_serve.engine.messages import Sampling
from realtime_serve.generation.generation import Generation
from realtime_serve.generation.request import Delta, GenerationRequest, Outcome, Priority, Usage
from realtime_serve.generation.serving import Serving
from realtime_serve.settings.callers import PriorityName
from realtime_serve.tracing.span import UNTRACED, Trace

NAMES: dict[Priority, PriorityName] = {
    Priority.HIGH: "high",
    Priority.NORMAL: "normal",
    Priority.LOW: "low",
}
UNREAD = 16  # tokens that wait for a program that reads slowly; then its sequence waits


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRequest:
    """What to generate.

    Args:
        model: the name of a model.
        prompt: plain text.
        max_tokens: at most so many.
        temperature: 0 is greedy.
        top_p: share of the probability that tokens are drawn from.
        priority: HIGH goes first; LOW always gets through in the end.
        client_id: who asks, for the log.
        version: a loaded version; empty for the active one.
        stop: texts that end the answer.
        seed: the same seed gives the same tokens.
        logprobs: whether tokens shall tell theirs.
        json_schema: the answer is JSON that follows it; None for plain text.
        request_id: made when it is left out.

    Raises:
        ValueError: a value is out of bounds.

    >>> InferenceRequest(model="chat", prompt="Hello", max_tokens=8).priority.name
    'NORMAL'

    """

    model: str
    prompt: str
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    priority: Priority = Priority.NORMAL
    client_id: str = ""
    version: str = ""
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: bool = False
    json_schema: Mapping[str, Any] | None = None
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("prompt: is empty")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens: {self.max_tokens}; allowed is a whole number from 1")
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature: {self.temperature}; allowed is a number from 0 to 2")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p: {self.top_p}; allowed is a number above 0, to 1")
        if self.json_schema is not None and not isinstance(self.json_schema, Mapping):
            raise ValueError(f"json_schema: {self.json_schema!r}; allowed is a JSON schema as a mapping")


@dataclass(frozen=True, slots=True)
class StreamToken:
    """One token, or several whose text came at once.

    Args:
        text: joined, the texts of all tokens are the answer.
        id: of the token, the last one where there are several; -1 where only text is known.
        logprob: of the token, added up where there are several; None where it was not asked for.
        special: whether it is a token that is no text.

    """

    text: str
    id: int = -1
    logprob: float | None = None
    special: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceResponse:
    """A whole answer."""

    request_id: str
    model: str
    version: str
    text: str
    tokens: tuple[StreamToken, ...]
    finish_reason: str
    usage: Usage


class Answer:
    """The tokens of one running generation, for `async for`; afterwards how it ended."""

    def __init__(self, generation: Generation) -> None:
        self.version = generation.version
        self.outcome: Outcome | None = None
        self._generation = generation
        self._unread: deque[StreamToken] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def tokens(self) -> AsyncIterator[StreamToken]:
        """Yield them as they come.

        Raises:
            RequestError: there is no whole answer.

        """
        running = asyncio.create_task(self._generation.run(self._keep))
        running.add_done_callback(lambda _: self._news.set())
        try:
            while self._unread or not running.done():
                if self._unread:
                    yield self._unread.popleft()
                    self._room.set()
                else:
                    self._news.clear()
                    await self._news.wait()
            self.outcome = running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _keep(self, delta: Delta) -> None:
        while len(self._unread) >= UNREAD:
            self._room.clear()
            await self._room.wait()
        self._unread.append(_token(delta))
        self._news.set()


def _token(delta: Delta) -> StreamToken:
    chances = [one.chosen.logprob for one in delta.chances]
    return StreamToken(
        delta.text,
        id=delta.tokens[-1] if delta.tokens else -1,
        logprob=sum(chances) if chances else None,
    )


@contextlib.asynccontextmanager
async def answering(
    serving: Serving, request: InferenceRequest, caller: Caller = ANYONE, trace: Trace = UNTRACED
) -> AsyncIterator[Answer]:
    """Let the request in for as long as the context lasts, by the way of every request.

    Raises:
        RequestError: it is not let in.

    """
    async with serving.accept(to_generation(request, caller, trace)) as generation:
        yield Answer(generation)


async def infer(
    serving: Serving, request: InferenceRequest, caller: Caller = ANYONE, trace: Trace = UNTRACED
) -> InferenceResponse:
    """Return the whole answer.

    Raises:
        RequestError: there is none.

    """
    async with answering(serving, request, caller, trace) as answer:
        tokens = [token async for token in answer.tokens()]
        outcome = answer.outcome
    if outcome is None:
        raise RuntimeError("an answer ended without an outcome")
    return InferenceResponse(
        request_id=request.request_id,
        model=request.model,
        version=answer.version,
        text="".join(token.text for token in tokens),
        tokens=tuple(tokens),
        finish_reason=outcome.finish_reason,
        usage=outcome.usage,
    )


def to_generation(request: InferenceRequest, caller: Caller, trace: Trace) -> GenerationRequest:
    """Return it as the server runs it. A client that the settings know keeps the priority that they give it."""
    if not caller.client:
        caller = replace(caller, priority=NAMES[request.priority])
    return GenerationRequest(
        id=request.request_id,
        kind="completion",
        model=request.model,
        version=request.version,
        prompts=(request.prompt,),
        sampling=Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            logprobs=0 if request.logprobs else -1,
        ),
        max_tokens=request.max_tokens,
        stop=request.stop,
        schema=b"" if request.json_schema is None else msgspec.json.encode(request.json_schema),
        schema_field="json_schema",
        caller=caller,
        trace=trace,
    )
