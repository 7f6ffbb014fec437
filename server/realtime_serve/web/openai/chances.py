"""Log probabilities of tokens, as OpenAI's two APIs write them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from realtime_serve.generation.request import Chance, TokenChances


def chat_logprobs(chances: Sequence[TokenChances]) -> dict[str, Any]:
    """The shape of chat completions."""
    content = [
        {**_named(token.chosen), "top_logprobs": [_named(other) for other in token.top]} for token in chances
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(chances: Sequence[TokenChances], offset: int) -> dict[str, Any]:
    """The shape of completions. `offset`: characters of the text before the first of these tokens."""
    offsets = []
    for token in chances:
        offsets.append(offset)
        offset += len(token.chosen.piece.text)
    return {
        "tokens": [token.chosen.piece.text for token in chances],
        "token_logprobs": [token.chosen.logprob for token in chances],
        "top_logprobs": [_by_text(token.top) for token in chances],
        "text_offset": offsets,
    }


def _by_text(top: Sequence[Chance]) -> dict[str, float]:
    """Where tokens are bytes of characters, several have one text: that of the likeliest one counts."""
    found: dict[str, float] = {}
    for other in top:
        found.setdefault(other.piece.text, other.logprob)
    return found


def _named(chance: Chance) -> dict[str, Any]:
    return {"token": chance.piece.text, "logprob": chance.logprob, "bytes": list(chance.piece.bytes)}
