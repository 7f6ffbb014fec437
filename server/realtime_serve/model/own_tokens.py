"""Runs a model of one's own that chooses its tokens itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import msgspec

from realtime_serve.engine.batch import Batch, Result
from realtime_serve.engine.messages import ModelCard
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model.protocols import TokenModel

log = logging.getLogger("realtime_serve.model")

PAGES = 8192  # of a cache that is not there: they bound what is in the batch
PAGE_TOKENS = 16


class TokenRunner:
    """Passes on the tokens that a model yields."""

    page_count = PAGES
    page_size = PAGE_TOKENS

    def __init__(self, model: TokenModel, card: ModelCard) -> None:
        self.card = msgspec.structs.replace(card, no_grammar="the model chooses its tokens itself")
        self._model = model
        # What is left of each answer, for as long as the scheduler knows its sequence.
        self._left: WeakKeyDictionary[Sequence, Iterator[int]] = WeakKeyDictionary()

    def run(self, batch: Batch) -> list[Result]:
        """See `engine.runner.Runner`. What the model raises ends that one sequence."""
        return [self._next(row.sequence) for row in batch.rows if row.samples]

    def _next(self, sequence: Sequence) -> Result:
        try:
            if (left := self._left.get(sequence)) is None:
                left = self._left[sequence] = self._begin(sequence)
            token = next(left, self.card.eos_ids[0])
        except Exception as error:
            log.exception("generate() failed")
            return Result(error=f"generate() raised {type(error).__name__}: {error}")
        if not isinstance(token, int) or not 0 <= token < self.card.vocab_size:
            allowed = f"0 to {self.card.vocab_size - 1}"
            return Result(error=f"generate() yielded {token!r}, which is no token: {allowed}")
        return Result(token)

    def _begin(self, sequence: Sequence) -> Iterator[int]:
        sampling = msgspec.structs.replace(sequence.sampling, seed=sequence.seed)
        return iter(self._model.generate(sequence.prompt, sampling))
