"""Errors as answers: which status each has, and OpenAI's shape of the body."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from aiohttp import web

from realtime_serve.errors import (
    Draining,
    GenerationFailed,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    JobCancelled,
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
    ShuttingDown,
    StoreUnavailable,
)


class Answer(NamedTuple):
    """How a kind of error is told over HTTP."""

    status: HTTPStatus
    type: str
    headers: Mapping[str, str] = {}


_SOON = {"Retry-After": "1"}
_LATER = {"Retry-After": "5"}
_NEVER = {"x-should-retry": "false"}  # the same request would take as long again

ANSWERS: dict[type[RequestError], Answer] = {
    InvalidRequest: Answer(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    ModelNotFound: Answer(HTTPStatus.NOT_FOUND, "invalid_request_error"),
    ModelNotReady: Answer(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable_error", _LATER),
    KeyUnknown: Answer(
        HTTPStatus.UNAUTHORIZED, "authentication_error", {"WWW-Authenticate": 'Bearer realm="realtime-serve"'}
    ),
    RateLimited: Answer(HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    Overloaded: Answer(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded_error", _SOON),
    Draining: Answer(
        HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable_error", {**_SOON, "Connection": "close"}
    ),
    ShuttingDown: Answer(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable_error", _SOON),
    GenerationFailed: Answer(HTTPStatus.SERVICE_UNAVAILABLE, "server_error", _SOON),
    RequestTimedOut: Answer(HTTPStatus.GATEWAY_TIMEOUT, "timeout_error", _NEVER),
    ReaderIdle: Answer(HTTPStatus.REQUEST_TIMEOUT, "timeout_error", _NEVER),
    JobUnknown: Answer(HTTPStatus.NOT_FOUND, "invalid_request_error"),
    JobGone: Answer(HTTPStatus.GONE, "invalid_request_error"),
    JobCancelled: Answer(HTTPStatus.CONFLICT, "invalid_request_error", _NEVER),
    IdempotencyInFlight: Answer(HTTPStatus.CONFLICT, "invalid_request_error", _SOON),
    IdempotencyMismatch: Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request_error"),
    StoreUnavailable: Answer(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable_error", _SOON),
    RequestError: Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"),
}


def answer_of(error: RequestError) -> Answer:
    """Return the answer of the error's nearest class."""
    return next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)


def error_json(message: str, *, kind: str, code: str, param: str = "") -> bytes:
    """Return the body of an error, as OpenAI's clients read it."""
    return msgspec.json.encode(
        {"error": {"message": message, "type": kind, "param": param or None, "code": code}}
    )


def body_of(error: RequestError) -> bytes:
    """Return the body of this error."""
    param = error.param if isinstance(error, InvalidRequest) else ""
    return error_json(str(error), kind=answer_of(error).type, code=error.code, param=param)


def response_of(error: RequestError, headers: Mapping[str, str] = {}) -> web.Response:
    """Return the whole answer of this error."""
    answer = answer_of(error)
    return json_response(body_of(error), status=answer.status, headers={**answer.headers, **headers})


def response_of_http(error: web.HTTPException, request: web.Request) -> web.Response:
    """Return aiohttp's own refusals (no such path, body too large) in the same shape."""
    phrase = HTTPStatus(error.status).phrase
    detail = phrase if error.text in (None, f"{error.status}: {error.reason}") else error.text
    message = f"{request.method} {request.path}: {detail}"
    body = error_json(message, kind="invalid_request_error", code=phrase.lower().replace(" ", "_"))
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return json_response(body, status=error.status, headers=allow)


def json_response(
    body: bytes, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] = {}
) -> web.Response:
    """Return an answer of encoded JSON."""
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
