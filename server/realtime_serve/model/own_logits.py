"""Runs a model of one's own that says how likely each token is."""

from __future__ import annotations

import logging

import torch

from realtime_serve.engine.batch import Batch, Result, Row
from realtime_serve.engine.messages import ModelCard
from realtime_serve.model.own_tokens import PAGE_TOKENS, PAGES
from realtime_serve.model.protocols import LogitsModel
from realtime_serve.model.sampler import sample
from realtime_serve.model.vocabulary import with_grammars

log = logging.getLogger("realtime_serve.model")


class LogitsRunner:
    """Draws from the logits of a model as the sampler does from those of transformers' models."""

    page_count = PAGES
    page_size = PAGE_TOKENS

    def __init__(self, model: LogitsModel, card: ModelCard) -> None:
        self.card, self._grammars = with_grammars(card)
        self._model = model

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def run(self, batch: Batch) -> list[Result]:
        """See `engine.runner.Runner`. What the model raises ends that one sequence."""
        asked = [(row, self._logits(row)) for row in batch.rows if row.samples]
        rows = [row for row, answer in asked if not isinstance(answer, Result)]
        answers = [answer for _, answer in asked if not isinstance(answer, Result)]
        drawn = iter(sample(torch.stack(answers), rows, self._grammars) if rows else ())
        return [answer if isinstance(answer, Result) else next(drawn) for _, answer in asked]

    def _logits(self, row: Row) -> torch.Tensor | Result:
        try:
            found = self._model.logits(row.sequence.tokens_from(0, row.end))
            logits = torch.as_tensor(found, dtype=torch.float32)
        except Exception as error:
            log.exception("logits() failed")
            return Result(error=f"logits() raised {type(error).__name__}: {error}")
        if logits.shape != (self.card.vocab_size,):
            shape = tuple(logits.shape)
            return Result(error=f"logits() returned the shape {shape}, not ({self.card.vocab_size},)")
        return logits
