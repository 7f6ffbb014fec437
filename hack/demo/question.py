"""Asks a served model one question and prints its answer as the tokens come."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    text: str
    version: str
    first_token_seconds: float


def ask(base_url: str, model: str, question: str) -> Answer:
    """Streams the answer to the terminal. Raises URLError when nothing listens, ValueError on an error event."""
    body = {
        "model": model,
        "stream": True,
        "temperature": 0,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": question}],
    }
    request = urllib.request.Request(  # noqa: S310  # an http URL of this machine
        f"{base_url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    begin, first, text = time.monotonic(), 0.0, ""
    print(f"   > {question}\n   ", end="", flush=True)
    with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
        version = response.headers["X-Model-Version"]
        for line in response:
            piece = read_event(line)
            if piece:
                first = first or time.monotonic() - begin
                text += piece
                print(piece, end="", flush=True)
    print(f"\n   (version {version}, first token after {first * 1000:.0f} ms)", flush=True)
    return Answer(text=text, version=version, first_token_seconds=first)


def read_event(line: bytes) -> str:
    """The text in one line of the event stream; empty for comments, blank lines and the end."""
    if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
        return ""
    event = json.loads(line.removeprefix(b"data: "))
    if "error" in event:
        raise ValueError(event["error"]["message"])
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
