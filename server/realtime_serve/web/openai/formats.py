"""`response_format`: what an answer shall look like. Pure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

OBJECT = b'{"type":"object"}'


class PlainText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Whatever the model says."""


class JsonObject(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_object"
):
    """A JSON object."""


class NamedSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of `json_schema` is for the server, and the words that are for the one who asks."""

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None  # answers follow the schema in any case


class JsonSchema(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_schema"
):
    """JSON that follows a schema."""

    json_schema: NamedSchema


ResponseFormat = PlainText | JsonObject | JsonSchema


def schema_of(wanted: ResponseFormat | None) -> bytes:
    """The JSON schema that the answer follows; empty when there is none."""
    match wanted:
        case JsonSchema(NamedSchema(schema=schema)):
            return msgspec.json.encode(schema)
        case JsonObject():
            return OBJECT
    return b""


def schema_field(wanted: ResponseFormat | None) -> str:
    """Where it stands in the body."""
    return "response_format.json_schema.schema" if isinstance(wanted, JsonSchema) else "response_format"
