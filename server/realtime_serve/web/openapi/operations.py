"""What each path takes and answers. The table is as long as the one of the routes, which a test sees to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web

from realtime_serve.errors import (
    Draining,
    GenerationFailed,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    JobGone,
    JobUnknown,
    KeyUnknown,
    ModelNotFound,
    ModelNotReady,
    Overloaded,
    RateLimited,
    ReaderIdle,
    RequestError,
    RequestTimedOut,
    StoreUnavailable,
)
from realtime_serve.web.infer import InferBody
from realtime_serve.web.openai.bodies import ChatBody, CompletionBody
from realtime_serve.web.openapi import answers

JSON, EVENTS, TEXT = "application/json", "text/event-stream", "text/plain"
REFERENCE = "#/components/schemas/{name}"
PLAIN: Mapping[str, Any] = {"type": "string"}
EVENT: Mapping[str, Any] = {
    "description": "One event of the stream; `data` is JSON, but for the last one of OpenAI's: [DONE]",
    "type": "object",
    "properties": {"id": PLAIN, "event": PLAIN, "data": PLAIN, "retry": {"type": "integer"}},
    "required": ["data"],
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. Contents are a type by its media type; a mapping is a schema as it stands."""

    summary: str
    tag: str
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters and what they mean; the first one is required."""
    headers: Mapping[str, str] = field(default_factory=dict)
    ok: Mapping[int, Mapping[str, Any]]
    """By status."""
    errors: tuple[type[RequestError | web.HTTPException], ...] = ()


READING = (
    InvalidRequest,
    KeyUnknown,
    web.HTTPRequestEntityTooLarge,
    web.HTTPRequestTimeout,
    web.HTTPUnsupportedMediaType,
)
ENTERING = (ModelNotFound, ModelNotReady, RateLimited, Overloaded, Draining)
RUNNING = (GenerationFailed, RequestTimedOut, ReaderIdle)
GENERATING = (*READING, *ENTERING, *RUNNING)
FOLLOWING = (InvalidRequest, KeyUnknown, JobUnknown, JobGone, StoreUnavailable)

VERSION = {"X-Model-Version": "a loaded version; without it whichever takes new work"}
RESUMABLE = {**VERSION, "X-Resumable": "true: the stream is a job's, and can be taken up again"}
KEY = {**VERSION, "Idempotency-Key": "the same key with the same body begins no second job"}
PLACE = {"Last-Event-ID": "the last event that the reader has"}


def of_model(answer: Any) -> Mapping[int, Mapping[str, Any]]:
    """Return what an answer of a model is: whole, or a stream of events."""
    return {HTTPStatus.OK: {JSON: answer, EVENTS: EVENT}}


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): Operation(
        summary="Answer a chat",
        tag="OpenAI",
        body=ChatBody,
        headers=RESUMABLE,
        ok=of_model(answers.ChatCompletion),
        errors=GENERATING,
    ),
    ("POST", "/v1/completions"): Operation(
        summary="Go on with a text",
        tag="OpenAI",
        body=CompletionBody,
        headers=RESUMABLE,
        ok=of_model(answers.Completion),
        errors=GENERATING,
    ),
    ("GET", "/v1/models"): Operation(
        summary="The models",
        tag="OpenAI",
        ok={HTTPStatus.OK: {JSON: answers.ModelList}},
        errors=(KeyUnknown,),
    ),
    ("GET", "/v1/models/{name}"): Operation(
        summary="One model",
        tag="OpenAI",
        ok={HTTPStatus.OK: {JSON: answers.ModelEntry}},
        errors=(KeyUnknown, ModelNotFound),
    ),
    ("POST", "/v1/jobs"): Operation(
        summary="Begin a job: a chat, or a text to go on with",
        tag="jobs",
        body={
            "anyOf": [{"$ref": REFERENCE.format(name=kind.__name__)} for kind in (ChatBody, CompletionBody)]
        },
        headers=KEY,
        ok={HTTPStatus.ACCEPTED: {JSON: answers.JobBegun}},
        errors=(*READING, *ENTERING, IdempotencyInFlight, IdempotencyMismatch, StoreUnavailable),
    ),
    ("GET", "/v1/jobs/{id}"): Operation(
        summary="How a job stands",
        tag="jobs",
        ok={HTTPStatus.OK: {JSON: answers.JobCard}},
        errors=FOLLOWING,
    ),
    ("POST", "/v1/jobs/{id}/cancel"): Operation(
        summary="End a job; again is no change",
        tag="jobs",
        ok={HTTPStatus.OK: {JSON: answers.JobCard}, HTTPStatus.ACCEPTED: {JSON: answers.JobCard}},
        errors=FOLLOWING,
    ),
    ("GET", "/v1/stream"): Operation(
        summary="A job's events, from the first or after Last-Event-ID; 204 when nothing is left of an ended one",
        tag="jobs",
        query={"job_id": "the job", "last_event_id": "as the header Last-Event-ID, which goes before it"},
        headers=PLACE,
        ok={HTTPStatus.OK: {EVENTS: EVENT}, HTTPStatus.NO_CONTENT: {}},
        errors=FOLLOWING,
    ),
    ("POST", "/infer"): Operation(
        summary="A whole answer, or its tokens as events",
        tag="plain",
        body=InferBody,
        headers=VERSION,
        ok=of_model(answers.Inference),
        errors=GENERATING,
    ),
    ("POST", "/infer_stream"): Operation(
        summary="The tokens of an answer as events",
        tag="plain",
        body=InferBody,
        headers=VERSION,
        ok={HTTPStatus.OK: {EVENTS: EVENT}},
        errors=GENERATING,
    ),
    ("GET", "/"): Operation(summary="A page to try it", tag="page", ok={HTTPStatus.OK: {"text/html": PLAIN}}),
    ("GET", "/assets/{name}"): Operation(
        summary="The page's files",
        tag="page",
        ok={
            HTTPStatus.OK: dict.fromkeys(("text/css", "text/javascript", "text/html", "image/svg+xml"), PLAIN)
        },
        errors=(web.HTTPNotFound,),
    ),
    ("GET", "/openapi.json"): Operation(
        summary="This document", tag="reports", ok={HTTPStatus.OK: {JSON: {"type": "object"}}}
    ),
    ("GET", "/health"): Operation(
        summary="Whether the process is worth keeping",
        tag="reports",
        ok={status: {JSON: answers.Health} for status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)},
    ),
    ("GET", "/ready"): Operation(
        summary="Whether requests shall be sent here",
        tag="reports",
        ok={status: {JSON: answers.Readiness} for status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)},
    ),
    ("GET", "/status"): Operation(
        summary="How it stands with all of it", tag="reports", ok={HTTPStatus.OK: {JSON: answers.Status}}
    ),
    ("GET", "/models"): Operation(
        summary="Models and their versions", tag="reports", ok={HTTPStatus.OK: {JSON: answers.Models}}
    ),
    ("GET", "/metrics"): Operation(
        summary="For Prometheus; percentiles as JSON for those who accept JSON alone",
        tag="reports",
        ok={HTTPStatus.OK: {TEXT: PLAIN, JSON: answers.Percentiles}},
    ),
}
