"""What one request brought, taken event by event."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any


class Cut(Exception):
    """The answer stopped before its end."""


class Garbled(Exception):
    """The answer is not what the API promises."""


@dataclass
class Stream:
    """What one request brought, as it came."""

    number: int
    prompt: str
    max_tokens: int
    opened_at: float = field(default_factory=time.time)  # Unix time, as are all that end in _at
    first_token_at: float = 0.0
    last_event_at: float = 0.0
    ended_at: float = 0.0
    longest_gap: float = 0.0  # seconds between two events with text
    status: int = 0  # 0: no answer at all
    turned_away: bool = False  # no connection, or a refusal in order: nothing was promised, nothing broken
    request_id: str = ""
    version: str = ""  # of the header
    fingerprints: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    chunks: int = 0
    tokens: int = -1  # -1: no usage came
    text: str = ""
    finish: str = ""
    done: bool = False
    cut: str = ""
    garbled: str = ""

    def take(self, data: str) -> None:
        """One event's data."""
        if self.done:
            raise Garbled(f"an event after [DONE]: {data[:80]}")
        if data == "[DONE]":
            self.done = True
            return
        body = parse(data)
        if "error" in body:
            raise Cut(f"error event: {json.dumps(body['error'])[:200]}")
        self._take_common(body)
        for choice in body["choices"]:
            self._take_text(choice["delta"].get("content") or "", choice.get("finish_reason") or "")

    def take_whole(self, data: str) -> None:
        """The body of an answer that was not streamed."""
        body = parse(data)
        self._take_common(body)
        choice = body["choices"][0]
        self._take_text(choice["message"]["content"], choice["finish_reason"])
        self.done = True

    def _take_common(self, body: dict[str, Any]) -> None:
        self.fingerprints.add(body.get("system_fingerprint") or "")
        self.ids.add(body["id"])
        if body.get("usage"):
            self.tokens = body["usage"]["completion_tokens"]

    def _take_text(self, text: str, finish: str) -> None:
        if self.finish and (text or finish):
            raise Garbled(f"more after finish_reason {self.finish!r}: {text[:80]!r}")
        self.finish = self.finish or finish
        if not text:
            return
        now = time.time()
        if self.chunks:
            self.longest_gap = max(self.longest_gap, now - self.last_event_at)
        else:
            self.first_token_at = now
        self.last_event_at = now
        self.chunks += 1
        self.text += text


def parse(data: str) -> dict[str, Any]:
    body = json.loads(data)
    if not isinstance(body, dict):
        raise Garbled(f"not a JSON object: {data[:80]}")
    return body
