"""Steps in which every row decodes plainly, kept whole: model, choice of the next token and going on to it.

The rows' state lives on the device (`model.static`), so a step that is like the one before it copies nothing there, and comes
back with one number for each row. For each bucket of batch sizes the step is kept when it is first wanted, once for greedy
rows and once for rows of which some draw.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from realtime_serve.engine.batch import Batch, Result, Row
from realtime_serve.model.capture import Capture, Run
from realtime_serve.model.kv import PAGE_TOKENS, KVCache
from realtime_serve.model.penalties import adjusts
from realtime_serve.model.sampler import NOT_FINITE
from realtime_serve.model.slots import PAGES, Slots
from realtime_serve.model.static import Buffers, StaticPlan

MOST_ROWS = 256
"""Larger batches take the ordinary path."""
Forward = Callable[[torch.Tensor, torch.Tensor, StaticPlan], torch.Tensor]
"""Tokens [rows], positions [rows] and what attention needs → logits [rows, vocabulary]."""


class NotCaptured(Exception):
    """This step cannot be kept; nothing of it was computed."""


class CapturedDecode:
    def __init__(
        self, forward: Forward, capture: Capture, cache: KVCache, *, longest: int, most: int = MOST_ROWS
    ) -> None:
        """longest: tokens of a sequence, at most."""
        width = PAGES + -(-longest // PAGE_TOKENS)
        self._forward = forward
        self._capture = capture
        self._blank = cache.blank
        self._longest = longest
        self._slots = Slots(most=most, width=width, page_tokens=PAGE_TOKENS, waste=cache.waste)
        self.buffers = Buffers(self._slots.empty(), most=most, device=cache.device)
        self.kept: dict[tuple[int, bool], Run] = {}
        """By bucket, and whether some rows draw."""

    def takes(self, batch: Batch) -> bool:
        return is_plain(batch, most=self._slots.most, longest=self._longest)

    def run(self, batch: Batch) -> list[Result]:
        """Raises NotCaptured, and what torch raises: nothing of the step then counts."""
        try:
            tokens = self._run(batch.rows)
        except Exception:
            self._slots.clear()
            self.buffers.clear()
            raise
        return [Result(token) if token >= 0 else Result(error=NOT_FINITE) for token in tokens]

    def _run(self, rows: list[Row]) -> list[int]:
        seating = self._slots.seat(rows)
        self.buffers.patch(seating.patch)
        self._keep(seating.size, draws=any(row.sampling.temperature > 0 for row in rows))()
        tokens = self.buffers.chosen(seating.places)
        self._slots.book(rows, tokens)
        return tokens

    def _keep(self, size: int, *, draws: bool) -> Run:
        key = size, draws
        if key not in self.kept:
            saved = self.buffers.save()
            # To keep a step may mean to run it: over empty slots it changes nothing that counts.
            self.buffers.clear()
            try:
                self.kept[key] = self._capture.record(partial(self._step, size, draws=draws))
            except RuntimeError as error:
                raise NotCaptured(f"{type(error).__name__}: {error}") from error
            self.buffers.restore(saved)
        return self.kept[key]

    def _step(self, size: int, *, draws: bool) -> None:
        tokens, positions, plan = self.buffers.inputs(size, self._blank)
        self.buffers.advance(self._forward(tokens, positions, plan), draws=draws)


def is_plain(batch: Batch, *, most: int, longest: int) -> bool:
    """Whether a captured step gives what the ordinary path gives: each row goes on with one token, greedy or drawn by temperature alone."""
    return (
        0 < len(batch.rows) <= most
        and batch.decoding == len(batch.rows)
        and all(row.end <= longest and is_plain_row(row) for row in batch.rows)
    )


def is_plain_row(row: Row) -> bool:
    sampling = row.sampling
    filtered = sampling.top_p < 1.0 or sampling.top_k > 0 or sampling.min_p > 0
    return not (
        sampling.grammar
        or sampling.logprobs >= 0
        or (sampling.temperature > 0 and filtered)
        or adjusts(row.sequence)
    )
