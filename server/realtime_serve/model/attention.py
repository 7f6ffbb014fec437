"""Attention over the KV cache, put into transformers' forward by its own registry.

A step's rows stand one behind the other in a batch of one: [1, heads, all tokens, head size]. Each row is written to its
slot and attends to its slot alone, so no mask over the whole batch is ever made. A slot is a page as long as the longest
sequence. Decoding rows are computed together over the slots as they lie in memory, without a copy of keys or values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from realtime_serve.engine.batch import Batch
from realtime_serve.model.kv import KVCache, Shape

NAME = "realtime_serve"
WASTE = 2.0
"""Rows much longer than the rest are computed alone when together they would cost more than this times their own lengths."""

WIDENED = 1 << 18
"""So many keys' numbers are widened at a time: 1 MiB, a core's second-level cache."""


@dataclass(frozen=True)
class Chunk:
    """Tokens [first, first + count) of the step are positions [start, end) of `slot`."""

    slot: int
    first: int
    start: int
    end: int

    @property
    def tokens(self) -> slice:
        return slice(self.first, self.first + self.end - self.start)


class StepPlan:
    """Where each token of a step is written, and what it may see: made once, used by every layer."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        decoding = batch.decoding
        self.chunks: list[Chunk] = []
        first = 0
        for row in batch.rows:
            self.chunks.append(Chunk(row.sequence.pages[0], first, row.start, row.end))
            first += len(row.tokens)
        order = sorted(range(decoding), key=lambda i: self.chunks[i].slot)
        together, self.alone = split_by_length([self.chunks[i] for i in order])
        self.prompts = self.chunks[decoding:] + self.alone
        self.together = together
        self._device = device
        self._masks: dict[int | None, torch.Tensor] = {}
        if together:
            self.low, self.high = together[0].slot, together[-1].slot + 1
            self.longest = max(chunk.end for chunk in together)
            self.tokens = torch.tensor([chunk.first for chunk in together], device=device)
            self.places = torch.tensor([chunk.slot - self.low for chunk in together], device=device)
            self.positions = torch.tensor([chunk.start for chunk in together], device=device)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """[slots, 1, 1, longest]: 0 where a decoding row may look, -inf elsewhere. A slot without a row sees one token."""
        if window not in self._masks:
            ends = torch.ones(self.high - self.low, device=self._device, dtype=torch.long)
            ends[self.places] = self.positions + 1
            column = torch.arange(self.longest, device=self._device)
            seen = column < ends[:, None]
            if window is not None:
                seen &= column >= ends[:, None] - window
            mask = torch.zeros(seen.shape, device=self._device, dtype=dtype)
            self._masks[window] = mask.masked_fill_(~seen, float("-inf"))[:, None, None, :]
        return self._masks[window]


def split_by_length(rows: list[Chunk]) -> tuple[list[Chunk], list[Chunk]]:
    """Rows to compute together, in slot order, and rows so long that they are cheaper alone."""
    alone: list[Chunk] = []
    together = sorted(rows, key=lambda chunk: chunk.end)
    while len(together) > 1:
        span = max(c.slot for c in together) - min(c.slot for c in together) + 1
        if span * together[-1].end <= WASTE * sum(chunk.end for chunk in together):
            break
        alone.append(together.pop())
    return sorted(together, key=lambda chunk: chunk.slot), alone


class SlotAttention:
    """The function that transformers calls in each layer. One per process: the registry knows functions by name."""

    def __init__(self) -> None:
        self.cache: KVCache | None = None
        self.plan: StepPlan | None = None
        self.seen: dict[int, Shape] = {}
        """What a forward without a cache has shown of each layer."""

    def __call__(  # noqa: PLR0917  # transformers' own signature
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,  # noqa: ARG002  # None: the plan knows who sees whom
        scaling: float | None = None,
        sliding_window: int | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """[1, heads, tokens, size] → [1, tokens, heads, size]."""
        if self.cache is None:
            self.seen[module.layer_idx] = Shape(key.shape[1], key.shape[3], value.shape[3])
            return _attend(query, key, value, scaling, is_causal=True).transpose(1, 2), None
        if self.plan is None:
            raise RuntimeError("a forward without a plan of its step")
        keys, values = self.cache.layer(module.layer_idx)
        output = query.new_empty(query.shape[2], query.shape[1], value.shape[3])  # [tokens, heads, size]
        if self.plan.together:
            self._decode(self.plan, (query, key, value), (keys, values), output, (scaling, sliding_window))
        for chunk in self.plan.prompts:
            self._prompt(chunk, (query, key, value), (keys, values), output, (scaling, sliding_window))
        return output[None], None

    @staticmethod
    def _decode(
        plan: StepPlan,
        new: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        cached: tuple[torch.Tensor, torch.Tensor],
        output: torch.Tensor,
        how: tuple[float | None, int | None],
    ) -> None:
        query, key, value = (tensor[0].transpose(0, 1)[plan.tokens] for tensor in new)  # [rows, heads, size]
        keys, values = (tensor[plan.low : plan.high] for tensor in cached)
        keys[plan.places, :, plan.positions] = key
        values[plan.places, :, plan.positions] = value
        heads, shared = query.shape[1], key.shape[1]
        # Heads that share keys are queries of one head: no copy of the keys for each of them.
        rows = query.new_zeros(plan.high - plan.low, shared, heads // shared, query.shape[2])
        rows[plan.places] = query.view(len(plan.together), shared, heads // shared, -1)
        keys, values = keys[:, :, : plan.longest], values[:, :, : plan.longest]
        if heads == shared and query.device.type == "cpu" and query.dtype != torch.float32:
            answer = attend_widened(rows, keys, values, plan.mask(how[1], torch.float32), how[0])
        else:
            answer = scaled_dot_product_attention(
                rows, keys, values, attn_mask=plan.mask(how[1], query.dtype), scale=how[0]
            )
        output[plan.tokens] = answer[plan.places].reshape(len(plan.together), heads, -1)

    @staticmethod
    def _prompt(
        chunk: Chunk,
        new: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        cached: tuple[torch.Tensor, torch.Tensor],
        output: torch.Tensor,
        how: tuple[float | None, int | None],
    ) -> None:
        query, key, value = (tensor[:, :, chunk.tokens] for tensor in new)
        keys, values = (tensor[chunk.slot : chunk.slot + 1] for tensor in cached)
        keys[:, :, chunk.start : chunk.end] = key
        values[:, :, chunk.start : chunk.end] = value
        scaling, window = how
        mask = None
        if chunk.start > 0 or (window is not None and window < chunk.end):
            mask = prompt_mask(chunk, window, query.device)
        answer = _attend(
            query,
            keys[:, :, : chunk.end],
            values[:, :, : chunk.end],
            scaling,
            is_causal=mask is None,
            mask=mask,
        )
        output[chunk.tokens] = answer[0].transpose(0, 1)


def prompt_mask(chunk: Chunk, window: int | None, device: torch.device) -> torch.Tensor:
    """[new tokens, end]: True where a token may look: at itself and what is before it, inside the window."""
    rows = torch.arange(chunk.start, chunk.end, device=device)[:, None]
    columns = torch.arange(chunk.end, device=device)
    seen = columns <= rows
    return seen if window is None else seen & (columns > rows - window)


def attend_widened(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    scaling: float | None,
) -> torch.Tensor:
    """Attention of one query a head, in float32 and a few rows at a time, so that what is widened stays in the core's cache.

    Two to three times as fast on a CPU as the fused kernel over 16 bits, which pays for each head anew.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    count = max(1, WIDENED // keys[0].numel())
    parts = []
    for tensors in zip(*(tensor.split(count) for tensor in (query, keys, values, mask)), strict=True):
        some, key, value, seen = (tensor.float() for tensor in tensors)
        weights = torch.matmul(some, key.transpose(2, 3)).mul_(scale).add_(seen).softmax(dim=-1)
        parts.append(torch.matmul(weights, value).to(query.dtype))
    return torch.cat(parts)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    *,
    is_causal: bool,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    grouped = query.shape[1] != key.shape[1]
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=is_causal, scale=scaling, enable_gqa=grouped
    )
