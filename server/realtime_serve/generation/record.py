"""What is remembered of one request while it runs: it becomes metrics and one line of log, never its text."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from realtime_serve.errors import JobCancelled, JobForsaken
from realtime_serve.generation.metrics import Metrics
from realtime_serve.generation.request import GenerationRequest
from realtime_serve.generation.span import Course, span_of
from realtime_serve.generation.tally import VersionTally
from realtime_serve.tracing.span import Tracer

log = logging.getLogger("realtime_serve.requests")

CLIENT_GONE = "client_disconnected"
CLIENTS_WISH = (CLIENT_GONE, JobCancelled.code, JobForsaken.code)


class Times(NamedTuple):
    """Seconds since the request came; None for what has not happened."""

    first: float | None  # token
    last: float | None  # token so far
    queued: float | None  # before the engine began with it
    tokens_per_second: float | None


class Record:
    """Timings, token counts and outcome of one request."""

    def __init__(
        self, request: GenerationRequest, *, version: str, metrics: Metrics, tracer: Tracer | None = None
    ) -> None:
        self._request = request
        self.version = version
        self._metrics = metrics
        self._tracer = tracer
        self._labels = (request.model, version, request.priority.name.lower())
        # Golden prompts address a version; what it is judged by under traffic is what was not sent to try it.
        self._tally = VersionTally() if request.version else metrics.tally.of(request.model, version)
        self._between = metrics.between_tokens.labels(*self._labels)
        self._generated = metrics.generation_tokens.labels(*self._labels)
        self._taken = False
        self._wrote = False
        self._begun = time.time()
        self._begin = time.monotonic()
        self._queued: float | None = None
        self._first: float | None = None
        self._last = self._begin
        self._lasts: dict[int, float] = {}  # by choice
        self._prompt_tokens = 0
        self._tokens = 0
        self._outcome = ""
        self._finish_reasons: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Read and made so far."""
        return self._prompt_tokens + self._tokens

    def accept(self, prompt_tokens: int) -> None:
        """The prompt is in tokens and the engine has it."""
        self._prompt_tokens = prompt_tokens
        self._taken = True
        self._metrics.prompt_tokens.labels(*self._labels).inc(prompt_tokens)

    def started(self, queued_seconds: float, choice: int = 0) -> None:
        """The engine has begun with it, after it waited so long."""
        if choice:
            return
        self._queued = queued_seconds
        self._metrics.queue_time.labels(*self._labels).observe(queued_seconds)

    def saw(self, tokens: int, choice: int = 0) -> None:
        """Tokens of one choice arrived together; the time since its last ones is shared among them."""
        if not tokens:
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now
            self._metrics.first_token.labels(*self._labels).observe(now - self._begin)
            self._tally.first_token.add(now - self._begin, now)
        last = self._lasts.get(choice, now)
        self._between.observe((now - last) / tokens, tokens if choice in self._lasts else tokens - 1)
        self._last = self._lasts[choice] = now
        self._tokens += tokens
        self._generated.inc(tokens)

    def wrote(self) -> None:
        """Some text went to the client."""
        self._wrote = True

    def succeed(self, finish_reasons: tuple[str, ...]) -> None:
        """The answer is whole; each choice ended for a reason."""
        finish_reason = finish_reasons[0]
        if self._settle(finish_reason):
            self._finish_reasons = finish_reasons
            self._metrics.success.labels(*self._labels, finish_reason).inc()
            now = time.monotonic()
            self._metrics.whole_request.labels(*self._labels).observe(now - self._begin)
            self._tally.whole_request.add(now - self._begin, now)
            self._tally.empty += not self._wrote

    def fail(self, reason: str) -> None:
        """There is no whole answer, for this reason (an error's code)."""
        if self._settle(reason):
            self._metrics.failure.labels(*self._labels, reason).inc()

    def lose_client(self) -> None:
        """The client left."""
        if self._settle(CLIENT_GONE):
            self._metrics.disconnects.labels(*self._labels).inc()

    def close(self) -> None:
        """Nothing more will happen: write it down."""
        self.fail("internal_error")  # unless it is settled
        now = time.monotonic()
        self._tally.end(self._outcome, taken=self._taken, now=now)
        if self._tokens:
            self._tally.generated.add(self._tokens, now)
        if self._first is not None and self._tokens > 1:
            self._tally.between_tokens.add((self._last - self._first) / (self._tokens - 1), now)
        fields = self._fields(now - self._begin)
        if self._tracer is not None:
            fields["trace_id"] = self._tracer.tell(span_of(self._request, self._course(now - self._begin)))
        log.info("request", extra={"fields": fields})

    def _settle(self, outcome: str) -> bool:
        """The first outcome counts; what follows from it (the client closing after an error) does not."""
        if self._outcome:
            return False
        self._outcome = outcome
        return True

    @property
    def times(self) -> Times:
        """What can be said of its speed so far."""
        if self._first is None:
            return Times(None, None, self._queued, None)
        streaming = self._last - self._first
        return Times(
            first=self._first - self._begin,
            last=self._last - self._begin,
            queued=self._queued,
            tokens_per_second=round((self._tokens - 1) / streaming, 1) if streaming > 0 else None,
        )

    def _course(self, seconds: float) -> Course:
        return Course(
            version=self.version,
            begun=self._begun,
            seconds=seconds,
            queued=self._queued,
            first_token=self.times.first,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._tokens,
            finish_reasons=self._finish_reasons,
            outcome=self._outcome,
            failed=not self._finish_reasons and self._outcome not in CLIENTS_WISH,
        )

    def _fields(self, seconds: float) -> dict[str, object]:
        times = self.times
        return {
            "request_id": self._request.id,
            "client": self._request.caller.name,
            "priority": self._request.priority.name.lower(),
            "kind": self._request.kind,
            "model": self._request.model,
            "version": self.version,
            "outcome": self._outcome,
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._tokens,
            "queue_seconds": None if times.queued is None else round(times.queued, 6),
            "first_token_seconds": None if times.first is None else round(times.first, 6),
            "seconds": round(seconds, 6),
            "tokens_per_second": times.tokens_per_second,
        }
