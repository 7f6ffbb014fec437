"""A request as a span: OpenTelemetry's names for generative AI, and our own for what these do not know. Pure.

https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

from typing import NamedTuple

from realtime_serve.generation.request import GenerationRequest
from realtime_serve.tracing.span import Attribute, Event, Span

OPERATIONS = {"chat": "chat", "completion": "text_completion"}


class Course(NamedTuple):
    """How a request went; times are seconds since it came."""

    version: str
    begun: float  # since the epoch
    seconds: float
    queued: float | None
    first_token: float | None
    prompt_tokens: int
    completion_tokens: int
    finish_reasons: tuple[str, ...]  # empty where there is no whole answer
    outcome: str
    failed: bool


def span_of(request: GenerationRequest, course: Course) -> Span:
    """Return the span of a request that is over."""
    first = course.first_token
    return Span(
        name=f"{OPERATIONS[request.kind]} {request.model}",
        trace=request.trace,
        begun=course.begun,
        seconds=course.seconds,
        attributes=_asked(request) | _answered(request, course),
        events=() if first is None else (Event("first_token", first),),
        error=course.outcome if course.failed else "",
    )


def _asked(request: GenerationRequest) -> dict[str, Attribute]:
    sampling = request.sampling
    optional = {
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.request.top_k": sampling.top_k or None,
        "gen_ai.request.choice.count": request.n if request.n > 1 else None,
        "realtime_serve.client": request.caller.client or None,
    }
    return {
        "gen_ai.operation.name": OPERATIONS[request.kind],
        "gen_ai.provider.name": "realtime_serve",
        "gen_ai.output.type": "json" if request.schema else "text",
        "gen_ai.request.model": request.model,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "realtime_serve.request_id": request.id,
        "realtime_serve.priority": request.priority.name.lower(),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _answered(request: GenerationRequest, course: Course) -> dict[str, Attribute]:
    optional: dict[str, Attribute | None] = {
        "gen_ai.response.finish_reasons": course.finish_reasons or None,
        "gen_ai.response.time_to_first_chunk": course.first_token,
        "realtime_serve.queue_seconds": course.queued,
        "error.type": None if course.finish_reasons else course.outcome,
    }
    return {
        "gen_ai.response.model": request.model,
        "gen_ai.usage.input_tokens": course.prompt_tokens,
        "gen_ai.usage.output_tokens": course.completion_tokens,
        "realtime_serve.model_version": course.version,
        **{name: value for name, value in optional.items() if value is not None},
    }
