"""The JSON of answers, whole and in chunks. The parts that repeat in every chunk are encoded once. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from realtime_serve.generation.request import Delta, Outcome, TokenChances, Usage
from realtime_serve.web.openai.chances import chat_logprobs, completion_logprobs

UsageInChunks = Literal["no", "null", "all"]  # null: asked for, and comes in a chunk of its own

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.encode
_NULL = b'"logprobs":null'


class Shape(ABC):
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
        self._head = b"data: " + head + b',"choices":[{"index":'
        self._end = b"}\n\n" if usage_in_chunks == "no" else b',"usage":null}\n\n'

    def first(self, index: int) -> bytes:
        """Return what goes before any text of a choice."""
        del index
        return b""

    def delta(self, delta: Delta, usage: Usage | None) -> bytes:
        """Return the chunk of one piece of text; the usage so far goes into it where it is given."""
        chances = self._chances(delta.index, delta.chances) if delta.chances else _NULL
        return self._chunk(delta.index, self._text(delta.text), chances, b"null", self._usage_end(usage))

    def last(self, outcome: Outcome) -> bytes:
        """Return the chunks that say why each choice ended."""
        end = self._usage_end(outcome.usage)
        return b"".join(
            self._chunk(index, self._nothing(), _NULL, _encode(reason), end)
            for index, reason in enumerate(outcome.finish_reasons)
        )

    def usage(self, usage: Usage) -> bytes:
        """Return the chunk that has the usage and no text."""
        chunk = {**self._common, "object": self._chunk_object, "choices": [], "usage": usage_json(usage)}
        return b"data: " + _encode(chunk) + b"\n\n"

    def whole(self, deltas: Sequence[Delta], outcome: Outcome) -> bytes:
        """Return the body of an answer that is not streamed."""
        texts: dict[int, list[str]] = defaultdict(list)
        chances: dict[int, list[TokenChances]] = defaultdict(list)
        for delta in deltas:
            texts[delta.index].append(delta.text)
            chances[delta.index] += delta.chances
        choices = [
            {
                "index": index,
                **self._whole_text("".join(texts[index])),
                "logprobs": self._logprobs(chances[index], 0) if chances[index] else None,
                "finish_reason": reason,
            }
            for index, reason in enumerate(outcome.finish_reasons)
        ]
        usage = usage_json(outcome.usage)
        return _encode({**self._common, "object": self._object, "choices": choices, "usage": usage})

    def _chunk(self, index: int, text: bytes, chances: bytes, reason: bytes, end: bytes) -> bytes:
        number = b"0," if index == 0 else b"%d," % index
        return b"".join((self._head, number, text, b",", chances, b',"finish_reason":', reason, b"}]", end))

    def _usage_end(self, usage: Usage | None) -> bytes:
        if usage is None or self._usage_in_chunks != "all":
            return self._end
        return b',"usage":' + _encode(usage_json(usage)) + b"}\n\n"

    def _chances(self, index: int, chances: Sequence[TokenChances]) -> bytes:
        del index
        return b'"logprobs":' + _encode(self._logprobs(chances, 0))

    @abstractmethod
    def _text(self, text: str) -> bytes: ...

    @abstractmethod
    def _nothing(self) -> bytes: ...

    @abstractmethod
    def _whole_text(self, text: str) -> dict[str, Any]: ...

    @abstractmethod
    def _logprobs(self, chances: Sequence[TokenChances], offset: int) -> dict[str, Any]: ...


class ChatShape(Shape):
    """POST /v1/chat/completions."""

    _id_prefix = "chatcmpl"
    _object = "chat.completion"
    _chunk_object = "chat.completion.chunk"

    def first(self, index: int) -> bytes:
        role = b'"delta":{"role":"assistant","content":""}'
        return self._chunk(index, role, _NULL, b"null", self._end)

    def _text(self, text: str) -> bytes:
        return b'"delta":{"content":' + _encode(text) + b"}"

    def _nothing(self) -> bytes:
        return b'"delta":{}'

    def _whole_text(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def _logprobs(self, chances: Sequence[TokenChances], offset: int) -> dict[str, Any]:
        del offset
        return chat_logprobs(chances)


class CompletionShape(Shape):
    """POST /v1/completions."""

    _id_prefix = "cmpl"
    _object = "text_completion"
    _chunk_object = "text_completion"

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self._offsets: dict[int, int] = defaultdict(int)  # characters told so far, by choice

    def _chances(self, index: int, chances: Sequence[TokenChances]) -> bytes:
        offset = self._offsets[index]
        self._offsets[index] += sum(len(token.chosen.piece.text) for token in chances)
        return b'"logprobs":' + _encode(self._logprobs(chances, offset))

    def _text(self, text: str) -> bytes:
        return b'"text":' + _encode(text)

    def _nothing(self) -> bytes:
        return b'"text":""'

    def _whole_text(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _logprobs(self, chances: Sequence[TokenChances], offset: int) -> dict[str, Any]:
        return completion_logprobs(chances, offset)


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
