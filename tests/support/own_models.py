"""Models of one's own, small enough for any test. They are imported in the engine's process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from realtime_serve import ModelConfig
from realtime_serve.engine.messages import Sampling


class Own:
    vocab_size = 257
    max_model_length = 2048
    eos_ids = (256,)
    directory = ""


class Counting(Own):
    """The likeliest byte is the one after the last."""

    def logits(self, tokens: Sequence[int]) -> list[float]:
        return [9.0 if token == (tokens[-1] + 1) % 256 else 0.0 for token in range(257)]


class Saying(Own):
    """Says its words, and ends."""

    def __init__(self, words: str) -> None:
        self._words = words.encode()

    def generate(self, tokens: Sequence[int], sampling: Sampling) -> Iterator[int]:
        yield from self._words


def load_counting(config: ModelConfig) -> Counting:
    return Counting()


def load_saying(config: ModelConfig) -> Saying:
    return Saying(config.options.get("words", config.version))


def load_wrong(config: ModelConfig) -> Any:
    return object()


def load_broken(config: ModelConfig) -> Any:
    raise RuntimeError("no weights here")


class Failing(Own):
    """Does what its prompt says."""

    def generate(self, tokens: Sequence[int], sampling: Sampling) -> Iterator[int]:
        yield from b"we"
        if bytes(tokens) == b"raise":
            raise RuntimeError("a bad day")
        if bytes(tokens) == b"yield":
            yield 999
        yield from b"ll"


def load_failing(config: ModelConfig) -> Failing:
    return Failing()
