"""One prompt to one pod: a streamed, greedy answer with its times, as a client would get it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec
from aiohttp.http_exceptions import LineTooLong

from inference_operator.cluster.pods import PORT
from inference_operator.spec.verification import GoldenPrompt
from inference_operator.verification import Answer

LIMIT = aiohttp.ClientTimeout(total=120, connect=5)
"""Of one answer."""
LONGEST = 1 << 20
"""Bytes of a streamed answer, whose text is far shorter."""
VERSION_HEADER = "X-Model-Version"
NO_TEMPLATE = "no_chat_template"


class NoAnswer(Exception):
    """The pod gave no whole answer. `transport`: it could not be reached or broke off, so another try may differ."""

    def __init__(self, message: str, *, transport: bool) -> None:
        super().__init__(message)
        self.transport = transport


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()
    text: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    completion_tokens: int = 0


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | None = None


class _Chunk(msgspec.Struct, frozen=True):
    """One event of the stream, or the body of a refusal."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: _Error | None = None


@dataclass(frozen=True, kw_only=True)
class Questioner:
    """Asks pods over one connection pool; `close` it. Each answer comes over a connection of its own."""

    port: int = PORT
    clock: Callable[[], float] = time.perf_counter
    session: aiohttp.ClientSession = field(
        default_factory=lambda: aiohttp.ClientSession(
            timeout=LIMIT, trust_env=False, connector=aiohttp.TCPConnector(limit=64, force_close=True)
        )
    )

    async def close(self) -> None:
        await self.session.close()

    async def ask(self, ip: str, model: str, version: str, prompt: GoldenPrompt) -> Answer:
        """The answer of that version. Raises NoAnswer."""
        body = _body(model, prompt)
        try:
            return await self._ask(ip, "/v1/chat/completions", version, body | _as_chat(prompt))
        except _NotForChat:
            return await self._ask(ip, "/v1/completions", version, body | {"prompt": prompt.prompt})

    async def _ask(self, ip: str, path: str, version: str, body: dict[str, Any]) -> Answer:
        host = f"[{ip}]" if ":" in ip else ip
        began = self.clock()
        try:
            async with self.session.post(
                f"http://{host}:{self.port}{path}",
                json=body,
                headers={VERSION_HEADER: version},
                allow_redirects=False,
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise _refused(response.status, await response.content.read(LONGEST))
                _check_version(version, response.headers.get(VERSION_HEADER, ""))
                return await self._read(response, began)
        except (ValueError, LineTooLong) as error:
            raise NoAnswer(f"no stream of events: {error}", transport=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}".rstrip(": "), transport=True) from error

    async def _read(self, response: aiohttp.ClientResponse, began: float) -> Answer:
        texts: list[str] = []
        tokens = size = 0
        first = last = 0.0
        async for line in response.content:
            size += len(line)
            if size > LONGEST:
                raise NoAnswer(f"the answer is longer than {LONGEST} bytes", transport=False)
            chunk = _decode(line)
            if chunk is None:
                continue
            if text := _text(chunk):
                last = self.clock()
                first = first or last
                texts.append(text)
            tokens = chunk.usage.completion_tokens if chunk.usage else tokens
        ended = self.clock()
        return Answer(
            text="".join(texts).encode("utf-8", "replace").decode(),
            tokens=tokens,
            ttft_ms=1000 * ((first or ended) - began),
            total_ms=1000 * ((last or ended) - began),
        )


class _NotForChat(Exception):
    """The model has no chat template."""


def _body(model: str, prompt: GoldenPrompt) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": prompt.max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _as_chat(prompt: GoldenPrompt) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt.prompt}]}


def _decode(line: bytes) -> _Chunk | None:
    """An event's data; None for what is none. Raises NoAnswer for an error in the stream."""
    field_name, _, data = line.strip().partition(b":")
    if field_name != b"data" or data.strip() in {b"", b"[DONE]"}:
        return None
    try:
        chunk = msgspec.json.decode(data, type=_Chunk)
    except msgspec.MsgspecError as error:
        raise NoAnswer(f"an event that is no chunk: {error}", transport=False) from error
    if chunk.error:
        raise NoAnswer(chunk.error.message, transport=False)
    return chunk


def _text(chunk: _Chunk) -> str:
    return "".join(choice.delta.content or choice.text or "" for choice in chunk.choices)


def _check_version(wanted: str, answered: str) -> None:
    if answered and answered != wanted:
        raise NoAnswer(f"version {answered} answered in the place of {wanted}", transport=False)


def _refused(status: int, body: bytes) -> Exception:
    try:
        error = msgspec.json.decode(body, type=_Chunk).error or _Error()
    except msgspec.MsgspecError:
        error = _Error()
    if error.code == NO_TEMPLATE:
        return _NotForChat()
    overloaded = status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
    return NoAnswer(f"HTTP {status} {error.message}".strip(), transport=overloaded)
