"""One accepted request: from its prompt to the last piece of its text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeVar, assert_never

from realtime_serve.callers.limiter import Ticket
from realtime_serve.engine.messages import FinishReason
from realtime_serve.engine.streams import Tokens, TokenStream
from realtime_serve.errors import (
    EngineGone,
    GenerationFailed,
    InvalidRequest,
    ModelNotReady,
    RequestError,
    RequestTimedOut,
)
from realtime_serve.generation.budget import token_budget
from realtime_serve.generation.record import Record, Times
from realtime_serve.generation.request import (
    Conversation,
    Deliver,
    Delta,
    GenerationRequest,
    Outcome,
    Usage,
)
from realtime_serve.generation.served import Loaded
from realtime_serve.settings.runtime import Settings
from realtime_serve.text.transcript import Transcript

_P = TypeVar("_P")

LONG_TEXT = 8192  # characters; tokenising more takes milliseconds, so it leaves the event loop's thread


class Generation:
    """Made by `Serving.accept`, which also sees to its end."""

    def __init__(
        self,
        request: GenerationRequest,
        *,
        loaded: Loaded,
        settings: Settings,
        record: Record,
        ticket: Ticket,
    ) -> None:
        self.request = request
        self.ticket = ticket
        self.prompt_tokens = 0
        self.queue_depth = 0  # sequences that waited when this one came
        self.outcome: Outcome | None = None
        self.error: RequestError | None = None
        self._loaded = loaded
        self._settings = settings
        self._record = record
        self._stop_ids = () if request.ignore_eos else tuple(loaded.card.eos_ids)
        self._stream: TokenStream | None = None
        self._transcript: Transcript | None = None
        self._cut: RequestError | None = None
        self._scope: asyncio.Timeout | None = None

    @property
    def version(self) -> str:
        """The version of the model that answers."""
        return self._record.version

    @property
    def times(self) -> Times:
        """What can be said of its speed so far."""
        return self._record.times

    @property
    def has_begun(self) -> bool:
        """Whether the engine has made a step for it."""
        return self._stream is not None and self._stream.queued_seconds is not None

    async def submit(self) -> None:
        """Give the prompt to the engine.

        Raises:
            InvalidRequest: the prompt or the asked length does not suit the model.
            RateLimited: the caller has to wait.
            ModelNotReady: the engine died a moment ago.

        """
        prompt, card = await self._encode(), self._loaded.card
        budget = token_budget(
            len(prompt),
            self.request.max_tokens,
            limit=self._settings.limits.max_tokens,
            context=min(card.max_model_length, card.kv_tokens),
            field=self.request.max_tokens_field,
        )
        self.ticket.reserve(len(prompt) + budget)
        self.queue_depth = self._loaded.engine.stats.waiting
        try:
            self._stream = self._loaded.engine.submit(
                prompt,
                sampling=self.request.sampling,
                max_tokens=budget,
                stop_ids=self._stop_ids,
                priority=self.request.priority,
                buffer_tokens=self._settings.streaming.buffer_tokens,
            )
        except EngineGone as error:
            raise ModelNotReady(str(error)) from error
        self._transcript = Transcript(self._loaded.tokenizer.decode, prompt, self.request.stop)
        self.prompt_tokens = len(prompt)
        self._record.accept(len(prompt))

    async def run(self, deliver: Deliver) -> Outcome:
        """Hand on the text as it comes; while `deliver` waits, so does the sequence.

        Raises:
            RequestError: there is no whole answer, for the reason it names.

        """
        limit = self._settings.limits.request_timeout_seconds
        try:
            async with asyncio.timeout(limit) as self._scope:
                if self._cut is not None:
                    raise self._cut
                outcome = await self._pump(deliver)
        except TimeoutError:
            raise self._failed(self._cut or RequestTimedOut(f"not done within {limit} s")) from None
        except RequestError as error:
            raise self._failed(error) from None
        finally:
            self._scope = None
        self._record.succeed(outcome.finish_reason)
        self.outcome = outcome
        return outcome

    def cut(self, reason: RequestError) -> None:
        """End it from outside: `run` raises this reason."""
        self._cut = reason
        if self._scope is not None:
            self._scope.reschedule(0.0)

    def abort(self) -> None:
        """Take the sequence out of the engine, if it is still there."""
        if self._stream is not None:
            self._stream.abort()

    def _failed(self, error: RequestError) -> RequestError:
        self._record.fail(error.code)
        self.error = error
        return error

    async def _encode(self) -> list[int]:
        prompt = self.request.prompt
        tokenizer = self._loaded.tokenizer
        match prompt:
            case Conversation(messages):
                size = sum(len(str(message)) for message in messages)
                tokens = await _call(size, tokenizer.encode_chat, messages)
            case str():
                tokens = await _call(len(prompt), tokenizer.encode, prompt)
            case _:
                tokens = self._checked(prompt)
        if not tokens:
            raise InvalidRequest("prompt", "is empty")
        return tokens

    def _checked(self, prompt: list[int]) -> list[int]:
        size = self._loaded.card.vocab_size
        wrong = next((token for token in prompt if not 0 <= token < size), None)
        if wrong is not None:
            raise InvalidRequest("prompt", f"token {wrong} is outside the vocabulary (0 to {size - 1})")
        return prompt

    async def _pump(self, deliver: Deliver) -> Outcome:
        stream, transcript = self._stream, self._transcript
        if stream is None or transcript is None:
            raise RuntimeError("run() before submit()")
        unseen, begun = 0, False
        async for tokens in stream:
            if stream.queued_seconds is not None and not begun:
                begun = True
                self._record.started(stream.queued_seconds)
            self._record.saw(len(tokens.tokens))
            reason = _reason(tokens)
            words = tokens.tokens
            if reason == "stop" and words and words[-1] in self._stop_ids:
                words, unseen = words[:-1], 1
            text = transcript.push(words)
            if transcript.stopped:
                reason, unseen = "stop", 0
            if reason is not None:
                text += transcript.finish()
            if text:
                self._record.wrote()
                await deliver(Delta(text, transcript.tokens))
            if reason is not None:
                return Outcome(reason, Usage(self.prompt_tokens, transcript.tokens + unseen))
        raise GenerationFailed("the engine ended the sequence without a reason")


def _reason(tokens: Tokens) -> Literal["stop", "length"] | None:
    """How the engine ended the sequence, None while it goes on."""
    match tokens.finish:
        case None:
            return None
        case FinishReason.STOP:
            return "stop"
        case FinishReason.LENGTH:
            return "length"
        case FinishReason.ABORT:
            raise GenerationFailed("the engine gave the sequence up")
        case FinishReason.ERROR:
            raise GenerationFailed(tokens.error or "the engine failed")
    assert_never(tokens.finish)


async def _call(size: int, encode: Callable[[_P], list[int]], prompt: _P) -> list[int]:
    if size < LONG_TEXT:
        return encode(prompt)
    return await asyncio.to_thread(encode, prompt)
