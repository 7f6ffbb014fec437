"""The runtime settings: the file that changes while the server runs, parsed into types. Pure."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from realtime_serve.errors import SettingsInvalid
from realtime_serve.settings.callers import Client, RateLimit
from realtime_serve.settings.version import ModelVersion


class Batching(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How the engine forms a batch."""

    max_batch_size: Annotated[int, Meta(ge=1, le=4096)] = 32  # sequences in one step
    max_wait_ms: Annotated[int, Meta(ge=0, le=10_000)] = 5  # for more requests, before an idle engine begins
    dynamic: bool = True  # wait only while requests keep coming
    max_batch_tokens: Annotated[int, Meta(ge=1, le=4_194_304)] = 4096  # of prompts and answers, in one step


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What the server accepts; read anew at each request."""

    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 256  # generation requests in progress at once
    max_queue: Annotated[int, Meta(ge=0, le=1_000_000)] = 1024  # of those, how many beyond a full batch
    max_tokens: Annotated[int, Meta(ge=1, le=4_194_304)] = 4096  # generated for one request
    request_timeout_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 300  # from acceptance to the last token


class Streaming(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How streams are kept alive and bounded."""

    heartbeat_seconds: Annotated[int, Meta(ge=1, le=3600)] = 15  # of silence, before a comment is sent
    buffer_tokens: Annotated[int, Meta(ge=1, le=1_048_576)] = 1024  # unread, before the sequence is held
    idle_timeout_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 60  # a reader that takes nothing is ended
    resume_window_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 120  # for a job's reader to come back


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The whole file. What it leaves out has the default."""

    generation: Annotated[int, Meta(ge=0)] = 0  # of the InferenceModel that it was rendered from
    active_version: Annotated[str, Meta(max_length=128)] = ""  # that new work goes to; empty: the first one
    versions: Annotated[tuple[ModelVersion, ...], Meta(max_length=8)] = ()
    """Held at once; empty: the one of the command line."""
    batching: Batching = Batching()
    limits: Limits = Limits()
    streaming: Streaming = Streaming()
    replicas: Annotated[int, Meta(ge=1, le=100_000)] = 1  # pods that share the limits of callers
    rate_limit: RateLimit | None = None
    clients: Annotated[tuple[Client, ...], Meta(max_length=256)] = ()
    suspend: bool = False  # the operator's: pods of a suspended model are being taken away

    def __post_init__(self) -> None:
        labels = [version.version for version in self.versions]
        if twice := next((label for label in labels if labels.count(label) > 1), ""):
            raise ValueError(f"versions: {twice!r} is listed twice")
        if self.versions and self.active_version not in ("", *labels):
            raise ValueError(
                f"activeVersion: {self.active_version!r} is not among versions ({', '.join(labels)})"
            )


def parse_settings(content: bytes) -> Settings:
    """Read a settings file.

    Raises:
        SettingsInvalid: it is no JSON, has an unknown key or a value out of bounds; the message names the path.

    """
    try:
        return msgspec.json.decode(content, type=Settings)
    except msgspec.ValidationError as error:
        raise SettingsInvalid(with_path_first(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsInvalid(f"no JSON: {error}") from error


def with_path_first(message: str) -> str:
    """Turn msgspec's "Expected `int` - at `$.limits.maxQueue`" into "limits.maxQueue: expected `int`"."""
    path, text = split_path(message)
    return f"{path}: {text}" if path else text


def split_path(message: str) -> tuple[str, str]:
    """The path of the field and what is wrong with it, of a msgspec error. An unknown field is its own path."""
    text, _, at = message.partition(" - at `$")
    path = at.rstrip("`").removeprefix(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL):
        path = f"{path}.{unknown[1]}" if path else unknown[1]
        return path, "unknown field"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", text):
        path = f"{path}.{missing[1]}" if path else missing[1]
        return path, "required, but missing"
    return path, text[:1].lower() + text[1:]
