"""The routes of jobs: begin one, read it, ask for it, cancel it."""

from __future__ import annotations

import hashlib
from http import HTTPStatus

import msgspec
from aiohttp import web

from realtime_serve.errors import InvalidRequest
from realtime_serve.generation.request import GenerationRequest, Origin
from realtime_serve.generation.serving import Serving
from realtime_serve.jobs.card import Card, stream_url
from realtime_serve.jobs.jobs import Jobs
from realtime_serve.jobs.store import Claim
from realtime_serve.jobs.telling import tell_text
from realtime_serve.web.bodies import read_json
from realtime_serve.web.errors import json_response
from realtime_serve.web.following import follow, known, position
from realtime_serve.web.keys import MODEL_VERSION, origin
from realtime_serve.web.openai.bodies import decode_chat, decode_completion
from realtime_serve.web.openai.reading import read_chat, read_completion

LONGEST_KEY = 255  # characters of an Idempotency-Key

_encode = msgspec.json.encode


class JobRoutes:
    """Handlers."""

    def __init__(self, serving: Serving, jobs: Jobs) -> None:
        self._serving = serving
        self._jobs = jobs

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/jobs: a chat or completion body; answers as soon as the engine has it."""
        content = await read_json(request)
        claim = claim_of(request, content)
        card = await self._jobs.begin(read_job(content, origin(request)), tell_text, claim)
        request[MODEL_VERSION] = card.version
        body = _encode({"job_id": card.job_id, "stream_url": stream_url(card.job_id)})
        headers = {"Location": f"/v1/jobs/{card.job_id}", **_PRIVATE}
        return json_response(body, status=HTTPStatus.ACCEPTED, headers=headers)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/stream?job_id=: its events, from the first one or after Last-Event-ID."""
        if (job_id := request.query.get("job_id")) is None:
            raise InvalidRequest("job_id", "required, but missing")
        streaming = self._serving.settings.current.streaming
        return await follow(request, self._jobs, known(job_id), after=position(request), streaming=streaming)

    async def card(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/jobs/{id}: how it stands."""
        return _answer(await self._jobs.card(known(request.match_info["id"])))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/jobs/{id}/cancel; again is no change."""
        card = await self._jobs.cancel(known(request.match_info["id"]))
        return _answer(card, HTTPStatus.OK if card.over else HTTPStatus.ACCEPTED)


def read_job(content: bytes, source: Origin) -> GenerationRequest:
    """Read a body that is one of /v1/chat/completions or of /v1/completions, whichever its fields say."""
    if _is_chat(content):
        return read_chat(decode_chat(content), source).request
    return read_completion(decode_completion(content), source).request


def claim_of(request: web.Request, content: bytes) -> Claim | None:
    """Return the request's idempotency key, which counts for its API key alone."""
    if (key := request.headers.get("Idempotency-Key")) is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise InvalidRequest("Idempotency-Key", f"1 to {LONGEST_KEY} printable characters")
    who = request.headers.get("Authorization", ""), request.headers.get("X-API-Key", "")
    return Claim(key=_digest(_encode((*who, key))), body=_digest(content))


_PRIVATE = {"Cache-Control": "no-store"}


class _Fields(msgspec.Struct):
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _is_chat(content: bytes) -> bool:
    try:
        return msgspec.json.decode(content, type=_Fields).messages is not msgspec.UNSET
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # whoever reads it whole says what is wrong


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _answer(card: Card, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return json_response(_encode(card.public()), status=status, headers=_PRIVATE)
