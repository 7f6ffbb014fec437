"""What every request and response gets: an id, the version, errors in one shape, the word that we are draining."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from realtime_serve.errors import (
    Draining,
    InvalidRequest,
    KeyUnknown,
    ModelNotFound,
    RateLimited,
    RequestError,
)
from realtime_serve.generation.serving import Serving
from realtime_serve.web.callers import limit_headers
from realtime_serve.web.connections import Connections
from realtime_serve.web.errors import body_of, error_json, json_response, response_of, response_of_http
from realtime_serve.web.keys import MODEL_VERSION, REQUEST_ID, TICKET, request_id

log = logging.getLogger("realtime_serve.web")

OnPrepare = Callable[[web.Request, web.StreamResponse], Awaitable[None]]

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def identify(connections: Connections) -> Middleware:
    """Name the request, and mark its connection as busy while it runs."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request[REQUEST_ID] = given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex
        with connections.busy(request.protocol):
            return await handler(request)

    return middleware


def send_elsewhere(connections: Connections) -> Middleware:
    """While draining, a request on a connection from before is sent to the same address over a new one.

    That one leads to whoever takes new work now. To close the connection instead would break the request that its
    client, who knows nothing of the order, may be writing at that moment.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Draining as error:
            if not connections.is_kept(request.protocol):
                raise
            there = {"Location": str(request.rel_url)}
            return json_response(body_of(error), status=HTTPStatus.TEMPORARY_REDIRECT, headers=there)

    return middleware


@web.middleware
async def tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors become answers in OpenAI's shape. A response that has begun tells its own."""
    try:
        return await handler(request)
    except RequestError as error:
        if isinstance(error, InvalidRequest | KeyUnknown | ModelNotFound):
            _log_refusal(request, error.code, str(error))
        if isinstance(error, RateLimited):
            return response_of(
                error, {"Retry-After": str(error.retry_after), **limit_headers(error.standings)}
            )
        return response_of(error)
    except web.HTTPException as error:
        _log_refusal(request, str(error.status), error.reason)
        return response_of_http(error, request)
    except ConnectionError:  # the client left while we wrote; aiohttp finds that out again and lets go
        return web.Response()
    except Exception:
        log.exception("a bug in handling a request", extra={"fields": {"request_id": request_id(request)}})
        if request.writer.output_size and request.transport is not None:
            request.transport.close()  # the answer has begun: nothing but its end can be told
        body = error_json("internal error; see the server's log", kind="server_error", code="internal_error")
        return json_response(body, status=HTTPStatus.INTERNAL_SERVER_ERROR)


def sign(serving: Serving) -> OnPrepare:
    """Put the id and the version on every response, and while draining the word to close the connection."""

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[hdrs.SERVER] = "realtime-serve"
        response.headers["X-Request-Id"] = request_id(request)
        response.headers["X-Model-Version"] = _version(request, serving)
        if TICKET in request:
            response.headers.update(limit_headers(request[TICKET].standings))
        if serving.drain.active:
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"

    return on_prepare


def _version(request: web.Request, serving: Serving) -> str:
    """The version that answers, or for what no version answers the one that gets new work."""
    if MODEL_VERSION in request:
        return request[MODEL_VERSION]
    first = serving.models.first
    return "" if first is None else first.active_version


def _log_refusal(request: web.Request, code: str, reason: str) -> None:
    fields = {
        "request_id": request_id(request),
        "path": request.path,
        "outcome": code,
        "reason": reason[:200],
    }
    log.info("refused", extra={"fields": fields})
