"""The plain way to ask: POST /infer for a whole answer, POST /infer_stream for its tokens."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from realtime_serve.errors import InvalidRequest, ReaderIdle, RequestError
from realtime_serve.generation.inference import (
    Answer,
    InferenceRequest,
    InferenceResponse,
    answering,
    infer,
)
from realtime_serve.generation.request import Priority
from realtime_serve.generation.serving import Serving
from realtime_serve.settings.runtime import split_path
from realtime_serve.web.bodies import read_json
from realtime_serve.web.errors import body_of, json_response
from realtime_serve.web.keys import MODEL_VERSION, origin
from realtime_serve.web.sse import EventStream

_encode = msgspec.json.encode


class InferBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /infer and /infer_stream."""

    model: str
    prompt: Annotated[str, Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    priority: Literal["high", "normal", "low"] = "normal"
    client_id: Annotated[str, Meta(max_length=128)] = ""
    json_schema: dict[str, Any] | None = None
    stream: bool = False


_BODY = msgspec.json.Decoder(InferBody)


class Infer:
    """Handlers."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def infer(self, request: web.Request) -> web.StreamResponse:
        """POST /infer: a whole answer; as a stream with "stream": true, or for who accepts events only."""
        body = decode_infer(await read_json(request))
        if body.stream or request.headers.get("Accept", "").startswith("text/event-stream"):
            return await self._stream(request, body)
        origin_ = origin(request)
        answer = await infer(self._serving, _asked(body, request), origin_.caller, origin_.trace)
        request[MODEL_VERSION] = answer.version
        return json_response(_encode(whole_json(answer)), status=HTTPStatus.OK)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """POST /infer_stream: an event a token, and one for the end."""
        return await self._stream(request, decode_infer(await read_json(request)))

    async def _stream(self, request: web.Request, body: InferBody) -> web.StreamResponse:
        asked, source = _asked(body, request), origin(request)
        async with answering(self._serving, asked, source.caller, source.trace) as answer:
            request[MODEL_VERSION] = answer.version
            events = EventStream(request, self._serving.settings.current.streaming)
            async with events:
                try:
                    async for token in answer.tokens():
                        await events.send(_event("token", msgspec.to_builtins(token)))
                except ReaderIdle:
                    raise  # there is nobody to tell
                except RequestError as error:
                    await events.send(b"event: error\ndata: " + body_of(error) + b"\n\n")
                else:
                    await events.send(_event("done", _end(asked, answer)))
        return events.response


def decode_infer(content: bytes) -> InferBody:
    """Read a body; InvalidRequest names the field that is wrong."""
    try:
        return _BODY.decode(content)
    except msgspec.ValidationError as error:
        raise InvalidRequest(*split_path(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("", f"the body is no JSON: {error}") from error


def whole_json(answer: InferenceResponse) -> dict[str, object]:
    """Return the answer as a client reads it."""
    return {
        "request_id": answer.request_id,
        "model": answer.model,
        "version": answer.version,
        "tokens": [token.text for token in answer.tokens],
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": msgspec.to_builtins(answer.usage),
    }


def _asked(body: InferBody, request: web.Request) -> InferenceRequest:
    source = origin(request)
    return InferenceRequest(
        model=body.model,
        prompt=body.prompt,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        priority=Priority[body.priority.upper()],
        client_id=body.client_id,
        json_schema=body.json_schema,
        version=source.version,
        request_id=source.request_id,
    )


def _end(asked: InferenceRequest, answer: Answer) -> dict[str, object]:
    outcome = answer.outcome
    return {
        "request_id": asked.request_id,
        "model": asked.model,
        "version": answer.version,
        "finish_reason": None if outcome is None else outcome.finish_reason,
        "usage": None if outcome is None else msgspec.to_builtins(outcome.usage),
    }


def _event(name: str, content: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + _encode(content) + b"\n\n"
