"""Every error that the server raises on purpose.

ServeError
├── EngineFailed             the engine process did not start, died or stopped making progress
├── EngineGone               work was offered to an engine that is not there
├── SettingsInvalid          a settings file, flag or variable that cannot be used
├── TokenizerUnusable        the model's directory has no tokenizer that can be read
├── LoadFailed               the model cannot be served by this process
└── RequestError             a request that gets no whole answer
    ├── InvalidRequest       the request itself is wrong
    │   ├── ContextLengthExceeded
    │   ├── ChatTemplateMissing
    │   └── ChatTemplateRefused
    ├── ModelNotFound
    │   └── VersionNotFound
    ├── ModelNotReady
    ├── KeyUnknown               no key of a client
    ├── RateLimited              the caller has asked for its share
    ├── Overloaded
    ├── Draining
    ├── RequestTimedOut
    ├── ReaderIdle
    ├── ShuttingDown
    ├── JobCancelled         ended by its client
    │   └── JobForsaken      ended because nobody read it
    ├── JobUnknown, JobGone, IdempotencyMismatch, IdempotencyInFlight, StoreUnavailable
    └── GenerationFailed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ServeError(Exception):
    """The root of the tree."""


class EngineFailed(ServeError):
    """The engine process did not start, died or stopped making progress. `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class EngineGone(ServeError):
    """Work was offered to an engine that is not there."""


class SettingsInvalid(ServeError):
    """A settings file, flag or environment variable that cannot be used; the message names it."""


class TokenizerUnusable(ServeError):
    """The model's directory has no tokenizer that can be read."""


class LoadFailed(ServeError):
    """The model cannot be served by this process: it shall end and say why."""


class RequestError(ServeError):
    """A request that gets no whole answer. `code` is for programs, the message for people."""

    code = "internal_error"


class InvalidRequest(RequestError):
    """The request itself is wrong; `param` is the path of the field."""

    code = "invalid_value"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param


class ContextLengthExceeded(InvalidRequest):
    """Prompt and answer do not fit into the model."""

    code = "context_length_exceeded"

    def __init__(self, message: str, *, param: str = "") -> None:
        super().__init__("", message)
        self.param = param


class ChatTemplateMissing(InvalidRequest):
    """The model was not made for chat."""

    code = "no_chat_template"

    def __init__(self) -> None:
        super().__init__("messages", "this model has no chat template; use /v1/completions")


class ChatTemplateRefused(InvalidRequest):
    """The model's chat template does not take these messages or tools."""

    code = "chat_template_error"

    def __init__(self, reason: str, *, param: str = "messages") -> None:
        super().__init__(param, f"the model's chat template does not take them: {reason}")


class ModelNotFound(RequestError):
    """There is no model of that name here."""

    code = "model_not_found"


class VersionNotFound(ModelNotFound):
    """The version that the request addresses takes no work here."""

    code = "version_not_found"


class ModelNotReady(RequestError):
    """The model is loading, or its engine is being started again."""

    code = "model_not_ready"


class KeyUnknown(RequestError):
    """The request has no key, or one that no client has."""

    code = "invalid_api_key"

    def __init__(self, given: bool) -> None:  # noqa: FBT001  the message differs
        what = "this API key is not known here" if given else "no API key was given"
        super().__init__(f"{what}; send one as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")


class Standing(NamedTuple):
    """How a caller stands with one of its limits, at this pod."""

    unit: str  # requests or tokens
    limit: int  # a minute
    remaining: int
    reset_seconds: float  # until all of it may be taken again


class RateLimited(RequestError):
    """The caller has asked for as much as it may for now. `standings`: how it stands with each of its limits."""

    code = "rate_limit_exceeded"

    def __init__(self, unit: str, retry_after: int, standings: Sequence[Standing]) -> None:
        super().__init__(f"your limit of {unit} a minute is reached; try again in {retry_after} s")
        self.unit = unit
        self.retry_after = retry_after  # seconds
        self.standings = standings


class Overloaded(RequestError):
    """A limit of the server is reached."""

    code = "overloaded"


class Draining(RequestError):
    """The server takes no new work."""

    code = "draining"


class RequestTimedOut(RequestError):
    """The answer was not whole within `limits.requestTimeoutSeconds`."""

    code = "request_timeout"


class ReaderIdle(RequestError):
    """The client took nothing for `streaming.idleTimeoutSeconds`."""

    code = "reader_idle"


class ShuttingDown(RequestError):
    """The server stopped before the answer was whole."""

    code = "server_shutdown"


class JobCancelled(RequestError):
    """The client ended the job."""

    code = "cancelled"


class JobForsaken(JobCancelled):
    """Nobody read the job for `streaming.resumeWindowSeconds`."""

    code = "no_reader"


class ServerLost(RequestError):
    """The server that ran the job is gone, and no other can go on with it."""

    code = "server_lost"

    def __init__(self, message: str = "the server that ran this job is gone") -> None:
        super().__init__(message)


class JobUnknown(RequestError):
    """No job has ever had this id."""

    code = "job_not_found"


class JobGone(RequestError):
    """The job, or the part of it that was asked for, is no longer kept."""

    code = "job_gone"


class IdempotencyMismatch(RequestError):
    """The idempotency key came with another body before."""

    code = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key came with another body before; use a new key for a new job")


class IdempotencyInFlight(RequestError):
    """The first request with this idempotency key is not answered yet."""

    code = "idempotency_in_flight"

    def __init__(self) -> None:
        super().__init__(
            "the first request with this Idempotency-Key is not answered yet; ask again in a moment"
        )


class StoreUnavailable(RequestError):
    """The store of jobs cannot be reached, or took the job away from this server."""

    code = "store_unavailable"


class GenerationFailed(RequestError):
    """The engine failed in the middle of the answer."""

    code = "engine_error"
