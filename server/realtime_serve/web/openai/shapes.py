"""The JSON of answers, whole and in chunks. The parts that repeat in every chunk are encoded once. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from realtime_serve.generation.request import Outcome, Usage

UsageInChunks = Literal["no", "null", "all"]  # null: asked for, and comes in a chunk of its own

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.encode


class Shape:
    """The answer to one request; what differs between chat and completion is in the two below."""

    _id_prefix: str
    _object: str
    _chunk_object: str

    def __init__(
        self, *, request_id: str, model: str, version: str, created: int, usage_in_chunks: UsageInChunks
    ) -> None:
        self._common = {
            "id": f"{self._id_prefix}-{request_id}",
            "created": created,
            "model": model,
            "system_fingerprint": f"rs-{version}",
        }
        self._usage_in_chunks = usage_in_chunks
        head = _encode({**self._common, "object": self._chunk_object})[:-1]
        self._head = b"data: " + head + b',"choices":[{"index":0,'
        self._tail = b',"logprobs":null,"finish_reason":null}]'
        self._end = b"}\n\n" if usage_in_chunks == "no" else b',"usage":null}\n\n'

    def first(self) -> bytes:
        """Return what goes before any text."""
        return b""

    def delta(self, text: str, usage: Usage) -> bytes:
        """Return the chunk of one piece of text."""
        return b"".join((self._head, self._text(text), self._tail, self._usage_end(usage)))

    def last(self, outcome: Outcome) -> bytes:
        """Return the chunk that says why the text ended."""
        finish = b',"logprobs":null,"finish_reason":' + _encode(outcome.finish_reason) + b"}]"
        return b"".join((self._head, self._nothing(), finish, self._usage_end(outcome.usage)))

    def usage(self, usage: Usage) -> bytes:
        """Return the chunk that has the usage and no text."""
        chunk = {**self._common, "object": self._chunk_object, "choices": [], "usage": usage_json(usage)}
        return b"data: " + _encode(chunk) + b"\n\n"

    def whole(self, text: str, outcome: Outcome) -> bytes:
        """Return the body of an answer that is not streamed."""
        choice = {
            "index": 0,
            **self._whole_text(text),
            "logprobs": None,
            "finish_reason": outcome.finish_reason,
        }
        body = {
            **self._common,
            "object": self._object,
            "choices": [choice],
            "usage": usage_json(outcome.usage),
        }
        return _encode(body)

    def _usage_end(self, usage: Usage) -> bytes:
        if self._usage_in_chunks != "all":
            return self._end
        return b',"usage":' + _encode(usage_json(usage)) + b"}\n\n"

    def _text(self, text: str) -> bytes:
        raise NotImplementedError

    def _nothing(self) -> bytes:
        raise NotImplementedError

    def _whole_text(self, text: str) -> dict[str, Any]:
        raise NotImplementedError


class ChatShape(Shape):
    """POST /v1/chat/completions."""

    _id_prefix = "chatcmpl"
    _object = "chat.completion"
    _chunk_object = "chat.completion.chunk"

    def first(self) -> bytes:
        return b"".join((self._head, b'"delta":{"role":"assistant","content":""}', self._tail, self._end))

    def _text(self, text: str) -> bytes:
        return b'"delta":{"content":' + _encode(text) + b"}"

    def _nothing(self) -> bytes:
        return b'"delta":{}'

    def _whole_text(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}


class CompletionShape(Shape):
    """POST /v1/completions."""

    _id_prefix = "cmpl"
    _object = "text_completion"
    _chunk_object = "text_completion"

    def _text(self, text: str) -> bytes:
        return b'"text":' + _encode(text)

    def _nothing(self) -> bytes:
        return b'"text":""'

    def _whole_text(self, text: str) -> dict[str, Any]:
        return {"text": text}


def usage_json(usage: Usage) -> dict[str, int]:
    """Token counts as OpenAI names them."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def model_json(name: str, *, created: int) -> bytes:
    """Return the body that describes one model."""
    return _encode(_model(name, created))


def models_json(names: list[str], *, created: int) -> bytes:
    """Return the body that lists the models."""
    return _encode({"object": "list", "data": [_model(name, created) for name in names]})


def _model(name: str, created: int) -> dict[str, object]:
    return {"id": name, "object": "model", "created": created, "owned_by": "realtime-serve"}
