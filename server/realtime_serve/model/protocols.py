"""What a model of one's own must be able to do. One of the two methods is enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from realtime_serve.engine.messages import Sampling


class OwnModel(Protocol):
    """What both kinds tell of themselves."""

    vocab_size: int
    max_model_length: int
    """Tokens of prompt and answer together."""
    eos_ids: Sequence[int]
    """Tokens that end an answer."""
    directory: str
    """With its tokenizer (tokenizer.json, and a chat template if it has one); empty: tokens are the bytes of the text,
    256 of them, and 256 ends an answer."""


@runtime_checkable
class LogitsModel(OwnModel, Protocol):
    """A model that says how likely each token is; the server draws it, with all that requests may ask for."""

    def logits(self, tokens: Sequence[int]) -> Sequence[float]:
        """Return a number for each token of the vocabulary: of the one that follows these."""


@runtime_checkable
class TokenModel(OwnModel, Protocol):
    """A model that chooses its tokens itself."""

    def generate(self, tokens: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """Yield the tokens that follow these; the end of the iterator ends the answer.

        Args:
            tokens: the prompt.
            sampling: what the request asks for, with a seed in any case: the same seed must give the same tokens.

        """
