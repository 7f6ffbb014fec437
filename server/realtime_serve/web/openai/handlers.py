"""The routes of the OpenAI API."""

from __future__ import annotations

from aiohttp import web

from realtime_serve.generation.serving import Serving
from realtime_serve.web.bodies import read_json
from realtime_serve.web.errors import json_response
from realtime_serve.web.keys import origin
from realtime_serve.web.openai.answering import answer
from realtime_serve.web.openai.bodies import decode_chat, decode_completion
from realtime_serve.web.openai.reading import read_chat, read_completion
from realtime_serve.web.openai.shapes import model_json, models_json


class OpenAI:
    """Handlers; each reads, asks, answers."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        body = decode_chat(await read_json(request))
        return await answer(request, self._serving, read_chat(body, origin(request)))

    async def completion(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        body = decode_completion(await read_json(request))
        return await answer(request, self._serving, read_completion(body, origin(request)))

    async def models(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/models."""
        del request
        return json_response(models_json(list(self._serving.models.models), created=int(self._serving.begun)))

    async def model(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/models/{name}."""
        model = self._serving.models.find(request.match_info["name"])
        return json_response(model_json(model.name, created=int(self._serving.begun)))
