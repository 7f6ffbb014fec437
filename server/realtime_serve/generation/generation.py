"""One accepted request: from its prompts to the last piece of its answers."""

from __future__ import annotations

import asyncio

import msgspec

from realtime_serve.callers.limiter import Ticket
from realtime_serve.engine.messages import Sampling
from realtime_serve.errors import EngineGone, ModelNotReady, RequestError, RequestTimedOut
from realtime_serve.generation.budget import token_budget
from realtime_serve.generation.choice import Choice
from realtime_serve.generation.prompting import check_tokens, compile_grammar, encode
from realtime_serve.generation.record import Record, Times
from realtime_serve.generation.request import Deliver, Delta, GenerationRequest, Outcome, Usage
from realtime_serve.generation.served import Loaded
from realtime_serve.settings.runtime import Settings
from realtime_serve.text.transcript import Transcript

_SEED_MASK = 2**63 - 1


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
        ends = () if request.ignore_eos else tuple(loaded.card.eos_ids)
        self._stop_ids = frozenset((*ends, *request.stop_token_ids))
        self._prompts: list[list[int]] = []
        self._choices: list[Choice] = []
        self._sampling = request.sampling
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
    def count(self) -> int:
        """How many answers there will be."""
        return len(self._choices)

    @property
    def completion_tokens(self) -> int:
        """Made so far, over all choices."""
        return sum(choice.tokens for choice in self._choices)

    @property
    def has_begun(self) -> bool:
        """Whether the engine has made a step for it."""
        return any(choice.stream.queued_seconds is not None for choice in self._choices)

    async def submit(self) -> None:
        """Give the prompts to the engine, each as often as answers to it are wanted.

        Raises:
            InvalidRequest: a prompt or the asked length does not suit the model.
            RateLimited: the caller has to wait.
            ModelNotReady: the engine died a moment ago.

        """
        request, loaded, vocabulary = self.request, self._loaded, self._loaded.card.vocab_size
        check_tokens(request, vocabulary)
        grammar = await compile_grammar(request, loaded.card)
        self._sampling = msgspec.structs.replace(request.sampling, grammar=grammar)
        self._prompts = [
            await encode(prompt, loaded.tokenizer, vocabulary=vocabulary) for prompt in request.prompts
        ]
        budgets = [self._budget(len(prompt)) for prompt in self._prompts]
        prompt_tokens = sum(map(len, self._prompts))
        self.ticket.reserve(prompt_tokens + request.n * sum(budgets))
        self.queue_depth = loaded.engine.stats.waiting
        try:
            for prompt, budget in zip(self._prompts, budgets, strict=True):
                for _ in range(request.n):
                    self._choices.append(self._begin(prompt, budget))
        except EngineGone as error:
            raise ModelNotReady(str(error)) from error
        self.prompt_tokens = prompt_tokens
        self._record.accept(prompt_tokens)

    async def run(self, deliver: Deliver) -> Outcome:
        """Hand on the text as it comes; while `deliver` waits, so do the sequences.

        Raises:
            RequestError: there is no whole answer, for the reason it names.

        """
        limit = self._settings.limits.request_timeout_seconds
        try:
            async with asyncio.timeout(limit) as self._scope:
                if self._cut is not None:
                    raise self._cut
                await self._run_all(_until(self._scope, deliver))
        except TimeoutError:
            raise self._failed(self._cut or RequestTimedOut(f"not done within {limit} s")) from None
        except RequestError as error:
            raise self._failed(error) from None
        finally:
            self._scope = None
        reasons = tuple(choice.finish_reason for choice in self._choices)
        self.outcome = Outcome(reasons, Usage(self.prompt_tokens, self.completion_tokens))
        self._record.succeed(reasons)
        return self.outcome

    def cut(self, reason: RequestError) -> None:
        """End it from outside: `run` raises this reason."""
        self._cut = reason
        if self._scope is not None:
            self._scope.reschedule(0.0)

    def abort(self) -> None:
        """Take the sequences out of the engine, if they are still there."""
        for choice in self._choices:
            choice.stream.abort()

    def _budget(self, prompt: int) -> int:
        card, request = self._loaded.card, self.request
        return token_budget(
            prompt,
            request.max_tokens,
            limit=self._settings.limits.max_tokens,
            context=min(card.max_model_length, card.kv_tokens),
            field=request.max_tokens_field,
        )

    def _begin(self, prompt: list[int], budget: int) -> Choice:
        index, tokenizer = len(self._choices), self._loaded.tokenizer
        stream = self._loaded.engine.submit(
            prompt,
            sampling=_seeded(self._sampling, index),
            max_tokens=budget,
            stop_ids=sorted(self._stop_ids),
            priority=self.request.priority,
            buffer_tokens=self._settings.streaming.buffer_tokens,
        )
        transcript = Transcript(tokenizer.decode, prompt, self.request.stop)
        return Choice(index, stream, transcript, stop_ids=self._stop_ids, describe=tokenizer.describe)

    async def _run_all(self, deliver: Deliver) -> None:
        if self.request.echo:
            for choice in self._choices:
                await deliver(Delta(self._echo(choice.index // self.request.n), 0, choice.index))
        if len(self._choices) == 1:
            await self._choices[0].run(deliver, self._record)
            return
        turn = asyncio.Lock()  # pieces of different choices are written one after the other

        async def deliver_in_turn(delta: Delta) -> None:
            async with turn:
                await deliver(delta)

        try:
            async with asyncio.TaskGroup() as group:
                for choice in self._choices:
                    group.create_task(choice.run(deliver_in_turn, self._record))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _echo(self, number: int) -> str:
        prompt = self.request.prompts[number]
        return prompt if isinstance(prompt, str) else self._loaded.tokenizer.decode(self._prompts[number])

    def _failed(self, error: RequestError) -> RequestError:
        self._record.fail(error.code)
        self.error = error
        return error


def _seeded(sampling: Sampling, index: int) -> Sampling:
    """Choices differ, each by a seed of its own."""
    if sampling.seed is None or index == 0:
        return sampling
    return msgspec.structs.replace(sampling, seed=(sampling.seed + index) & _SEED_MASK)


def _until(scope: asyncio.Timeout, deliver: Deliver) -> Deliver:
    """What `deliver` awaits may swallow the one cancellation that ends the scope, as clients of databases do now and then."""

    async def deliver_in_time(delta: Delta) -> None:
        await deliver(delta)
        if scope.expired():
            raise TimeoutError

    return deliver_in_time
