"""What is known of a job: told by `GET /v1/jobs/{id}`, by its last event, and by one line of log."""

from __future__ import annotations

import enum
import secrets
import time
from typing import Any

import msgspec

from realtime_serve.generation.request import Usage


class State(enum.StrEnum):
    """Where a job is. The last three are for good."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"


OVER = frozenset({State.COMPLETE, State.ERROR, State.CANCELLED})


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds since 1970, by this server's clock."""

    t_start: float
    t_first: float | None = None
    t_last: float | None = None
    ttft_seconds: float | None = None
    tokens_per_second: float | None = None
    queue_seconds: float | None = None
    queue_depth: int = 0  # sequences that waited in the engine when this one came


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A job at one moment."""

    job_id: str
    model: str
    kind: str
    request_id: str
    state: State = State.QUEUED
    version: str = ""
    reason: str = ""  # why it ended: a finish reason, or an error's code
    message: str = ""
    usage: Usage | None = None
    metrics: Timings

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in OVER

    def public(self) -> dict[str, Any]:
        """Return it as clients see it."""
        usage = None
        if self.usage is not None:
            prompt, completion = self.usage.prompt_tokens, self.usage.completion_tokens
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }
        return {**msgspec.structs.asdict(self), "usage": usage, "stream_url": stream_url(self.job_id)}


def new_job_id(now: float | None = None) -> str:
    """Return an id that nobody can guess: whoever has it may read the job and cancel it."""
    milliseconds = int((time.time() if now is None else now) * 1000)
    return f"job-{milliseconds:012x}{secrets.token_hex(16)}"


def is_job_id(text: str) -> bool:
    """Whether the text has the form of our ids."""
    digits = text.removeprefix("job-")
    return (
        len(text) == len("job-") + 44 and len(digits) == 44 and all(c in "0123456789abcdef" for c in digits)
    )


def stream_url(job_id: str) -> str:
    """Return where the job's events are read."""
    return f"/v1/stream?job_id={job_id}"
