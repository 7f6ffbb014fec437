"""The document itself, made from the types that requests are read into. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from realtime_serve.errors import RequestError
from realtime_serve.release import VERSION
from realtime_serve.web.errors import ANSWERS
from realtime_serve.web.openai.bodies import OFF, ChatBody, CompletionBody
from realtime_serve.web.openapi.answers import Error
from realtime_serve.web.openapi.operations import JSON, OPERATIONS, REFERENCE, Operation

KEYS: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"key": []}]
"""Keys are asked for where the settings name clients."""


@functools.cache
def document() -> bytes:
    """Return it as JSON."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation, schemas)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "realtime-serve", "version": VERSION},
            "paths": paths,
            "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
        }
    )


class Schemas:
    """JSON schemas of types, each once."""

    def __init__(self) -> None:
        types = [content for operation in OPERATIONS.values() for content in _types(operation)]
        found, self.components = msgspec.json.schema_components([*types, Error], ref_template=REFERENCE)
        self._found = dict(zip([*types, Error], found, strict=True))
        for body in (ChatBody, CompletionBody):
            _tell_what_is_off(self.components[body.__name__]["properties"])

    def of(self, content: Any) -> Mapping[str, Any]:
        """Return the schema of a type; what is one already stays as it is."""
        return content if isinstance(content, Mapping) else self._found[content]


def _types(operation: Operation) -> Iterator[Any]:
    contents = [content for answer in operation.ok.values() for content in answer.values()]
    for content in (operation.body, *contents):
        if content is not None and not isinstance(content, Mapping):
            yield content


def _tell_what_is_off(properties: dict[str, Any]) -> None:
    """Fields that are taken only where they ask for nothing."""
    for name, values in OFF.items():
        if name in properties:
            properties[name] = {"enum": [*values, None], "default": None}


def _operation(method: str, path: str, operation: Operation, schemas: Schemas) -> dict[str, Any]:
    responses = {
        str(int(status)): _answer(status, contents, schemas) for status, contents in operation.ok.items()
    }
    for status in sorted({_status(error) for error in operation.errors}):
        responses.setdefault(str(int(status)), _answer(status, {JSON: Error}, schemas))
    found: dict[str, Any] = {
        "operationId": _name(method, path),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_parameters(path, operation)],
        "responses": responses,
    }
    if operation.body is not None:
        content = {JSON: {"schema": schemas.of(operation.body)}}
        found["requestBody"] = {"required": True, "content": content}
    if path.startswith(("/v1/", "/infer")):
        found["security"] = KEYS
    return found


def _answer(status: int, contents: Mapping[str, Any], schemas: Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if contents:
        answer["content"] = {kind: {"schema": schemas.of(content)} for kind, content in contents.items()}
    return answer


def _status(error: Any) -> int:
    if issubclass(error, RequestError):
        return next(ANSWERS[kind].status for kind in error.__mro__ if kind in ANSWERS)
    return int(error.status_code)


def _parameters(path: str, operation: Operation) -> Iterator[dict[str, Any]]:
    text = {"type": "string"}
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {**text, "minLength": 1}}
    for place, (name, meaning) in enumerate(operation.query.items()):
        yield {"name": name, "in": "query", "required": place == 0, "schema": text, "description": meaning}
    for name, meaning in operation.headers.items():
        yield {"name": name, "in": "header", "required": False, "schema": text, "description": meaning}


def _name(method: str, path: str) -> str:
    return "_".join([method.lower(), *re.findall(r"\w+", path)])


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
