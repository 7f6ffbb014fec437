"""The shapes of answers, for the document. Nothing that is not named here is in an answer."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from realtime_serve.generation.request import Usage
from realtime_serve.generation.served import State
from realtime_serve.jobs.card import Card


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all of them have: these fields and no other."""


class ErrorDetail(Answer, frozen=True, kw_only=True):
    """What went wrong: the message for people, the code for programs, the field if one is to blame."""

    message: str
    type: str
    param: str | None
    code: str


class Error(Answer, frozen=True, kw_only=True):
    """OpenAI's shape of an error."""

    error: ErrorDetail


class TokenUsage(Answer, frozen=True, kw_only=True):
    """Tokens that were read and made."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


FinishReason = Literal["stop", "length"]


class ChatMessage(Answer, frozen=True, kw_only=True):
    """What the model says."""

    role: Literal["assistant"]
    content: str
    refusal: None


class TopLogprob(Answer, frozen=True, kw_only=True):
    """A token that could have been next."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprobs(TopLogprob, frozen=True, kw_only=True):
    """A token of the answer, and the likeliest in its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Answer, frozen=True, kw_only=True):
    """Of a chat's answer."""

    content: list[TokenLogprobs]
    refusal: None


class ChatChoice(Answer, frozen=True, kw_only=True):
    """One of the answers."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class CompletionLogprobs(Answer, frozen=True, kw_only=True):
    """Of a completion."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(Answer, frozen=True, kw_only=True):
    """One of the answers."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(Answer, frozen=True, kw_only=True):
    """A whole answer to a chat."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: TokenUsage


class Completion(Answer, frozen=True, kw_only=True):
    """A whole completion."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: TokenUsage


class ModelEntry(Answer, frozen=True, kw_only=True):
    """A model that requests may name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Answer, frozen=True, kw_only=True):
    """All of them."""

    object: Literal["list"]
    data: list[ModelEntry]


class JobBegun(Answer, frozen=True, kw_only=True):
    """Where the job's events are."""

    job_id: str
    stream_url: str


class JobCard(Card, frozen=True, kw_only=True):
    """A job at one moment."""

    usage: TokenUsage | None = None  # type: ignore[assignment]  # as clients see it, with the sum
    stream_url: str


class Inference(Answer, frozen=True, kw_only=True):
    """A whole answer of the plain API."""

    request_id: str
    model: str
    version: str
    tokens: list[str]
    text: str
    finish_reason: FinishReason
    usage: Usage


class Health(Answer, frozen=True, kw_only=True):
    """Whether the process is worth keeping."""

    status: Literal["ok", "failed"]
    active_connections: int
    active_streams: int
    reason: str | msgspec.UnsetType = msgspec.UNSET


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether requests shall be sent here."""

    status: Literal["ready", "not ready"]
    reason: str | msgspec.UnsetType = msgspec.UNSET


class Progress(Answer, frozen=True, kw_only=True):
    """Of a download."""

    bytes_done: int
    bytes_total: int
    bytes_per_second: int


class VersionStatus(Answer, frozen=True, kw_only=True):
    """A version of a model."""

    state: State
    message: str
    active_streams: int
    progress: Progress | msgspec.UnsetType = msgspec.UNSET


class ModelStatus(Answer, frozen=True, kw_only=True):
    """A model and its versions."""

    active_version: str
    versions: dict[str, VersionStatus]


class Models(Answer, frozen=True, kw_only=True):
    """All models."""

    models: dict[str, ModelStatus]
    total_models: int


class Streams(Answer, frozen=True, kw_only=True):
    """Accepted requests whose answers are not written yet."""

    active: int


class Queue(Answer, frozen=True, kw_only=True):
    """Sequences in the engine."""

    waiting: int
    running: int


class ErrorCounts(Answer, frozen=True, kw_only=True):
    """Since the process began."""

    requests_total: int
    errors_total: int
    empty_total: int


class Latency(Answer, frozen=True, kw_only=True):
    """Over the last minute."""

    ttft_p95_ms: float | None
    ttft_count: int


class Status(Answer, frozen=True, kw_only=True):
    """Everything that the operator and people want to know."""

    server_version: str
    uptime_seconds: float
    draining: bool
    settings_generation: int
    settings_error: str
    connections: int
    streams: Streams
    models: dict[str, ModelStatus]
    queues: dict[str, Queue]
    errors: dict[str, ErrorCounts]
    latency: dict[str, Latency]


class Percentiles(Answer, frozen=True, kw_only=True):
    """By model and version, over the last `window_seconds`."""

    window_seconds: float
    models: dict[str, Any]
