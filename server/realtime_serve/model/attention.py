"""Attention over the paged KV cache, put into transformers' forward by its own registry.

A step's rows stand one behind the other in a batch of one: [1, heads, all tokens, head size]. New keys and values are written
to the pages of their sequences, and each row attends to the pages of its own sequence, so no mask over the whole batch is
ever made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from realtime_serve.engine.batch import Batch
from realtime_serve.model import operators
from realtime_serve.model.decoding import Rows
from realtime_serve.model.kv import KVCache, Layout, Shape, pick_pages
from realtime_serve.model.native import NativeAttention, NativePlan
from realtime_serve.model.operators import How, New
from realtime_serve.model.static import StaticPlan
from realtime_serve.model.step import Beginning, Continuing, Sharing, StepPlan

NAME = "realtime_serve"
LAYER = "realtime_serve_layer"
"""The attribute in which a module of a compiled model has its layer's number, a tensor."""

Decode = Callable[[Rows, New, tuple[torch.Tensor, torch.Tensor], How], torch.Tensor]
"""Attention of rows of one token, over keys and values of a layer: [rows, heads, size]."""


@dataclass(frozen=True)
class Way:
    """How rows of one token look at their pages."""

    name: str
    decode: Decode
    native: NativeAttention | None = None
    """Computes whole steps, prompts too; what compiled code calls, where it is not `operators`."""
    is_ragged: bool = False
    """Whether a row costs what its own length costs, whichever rows are computed with it."""
    layout: Layout = Layout.BY_HEADS
    """Of the cache that it reads."""


class PagedAttention:
    """The function that transformers calls in each layer. One per process: the registry knows functions by name."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.cache: KVCache | None = None
        self.plan: StepPlan | StaticPlan | NativePlan | None = None
        self.seen: dict[int, Shape] = {}
        """What a forward without a cache has shown of each layer."""
        self._number = operators.own_attention(self)

    def use(self, cache: KVCache) -> None:
        self.cache = cache
        if self.way.native is not None:
            self.way.native.own_cache(self._number, cache)

    def begin(self, batch: Batch) -> None:
        """The step whose tokens come next."""
        if self.cache is None:
            raise RuntimeError("a step without a cache")
        if self.way.native is not None:
            self.plan = self.way.native.begin(self._number, batch, self.cache.blank)
        else:
            self.plan = StepPlan(batch, self.cache.blank, self.cache.device, ragged=self.way.is_ragged)

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
        if torch.compiler.is_compiling():
            layer = getattr(module, LAYER)
            found = operators.calls.attend(query, key, value, layer, scaling, sliding_window, self._number)
            return found, None
        if self.cache is None:
            self.seen[module.layer_idx] = Shape(key.shape[1], key.shape[3], value.shape[3])
            return attend(query, key, value, scaling).transpose(1, 2), None
        new = query[0], key[0], value[0]
        return self.attend(module.layer_idx, new, (scaling, sliding_window)), None

    def attend(self, layer: int, new: New, how: How) -> torch.Tensor:
        """[1, tokens, heads, size]; writes the new keys and values to their pages."""
        if self.plan is None or self.cache is None:
            raise RuntimeError("a forward without a plan of its step")
        cached = self.cache.layer(layer)
        if isinstance(self.plan, NativePlan):
            return self.plan.attend(new, cached, how)[None]
        for tensor, tokens in zip(cached, new[1:], strict=True):
            self.plan.put(tensor, tokens)
        if isinstance(self.plan, StaticPlan):
            return self.way.decode(self.plan.rows, new, cached, how)[None]
        if self.plan.only is not None:
            return self.way.decode(self.plan.only, new, cached, how)[None]
        query, _, value = new
        output = query.new_empty(query.shape[1], query.shape[0], value.shape[2])  # [tokens, heads, size]
        for rows in self.plan.decoding:
            output[rows.tokens] = self.way.decode(rows, new, cached, how)
        for prompts in self.plan.beginning:
            prompts.write(output, begin(prompts, new, how))
        for chunks in self.plan.continuing:
            output[chunks.tokens] = go_on(chunks, new, cached, how)
        return output[None]


def attend_rows(rows: Rows, new: New, cached: tuple[torch.Tensor, torch.Tensor], how: How) -> torch.Tensor:
    """[rows, heads, size]: by torch's own kernels, over copies of the pages."""
    scaling, window = how
    view, (keys, values) = rows.view(window), cached
    query = rows.of(new[0])
    heads, count, size = query.shape
    shared = keys.shape[0]
    # Heads that share keys are queries of one head: no copy of the keys for each of them.
    grouped = query.view(shared, heads // shared, count, size)
    answer = scaled_dot_product_attention(
        grouped.permute(2, 0, 1, 3),
        gather(keys, view.pages, count).transpose(0, 1).to(query.dtype),
        gather(values, view.pages, count).transpose(0, 1),
        attn_mask=view.mask_as(query.dtype),
        scale=scaling,
    )
    return answer.reshape(count, heads, -1)


def gather(cached: torch.Tensor, pages: torch.Tensor, rows: int) -> torch.Tensor:
    """[heads, pages, page size, size] → [heads, rows, tokens, size]: each row's pages in one piece."""
    return pick_pages(cached, pages).reshape(cached.shape[0], rows, -1, cached.shape[3])


def begin(prompts: Beginning, new: New, how: How) -> torch.Tensor:
    """[rows, heads, longest, size]: prompts that see nothing but themselves, padded to the longest one."""
    scaling, window = how
    query, key, value = (prompts.of(tensor) for tensor in new)
    mask = None
    if window is not None and window < prompts.longest:
        places = torch.arange(prompts.longest, device=query.device)
        mask = (places <= places[:, None]) & (places > places[:, None] - window)
    return attend(query, key, value, scaling, mask)


def go_on(
    chunks: Continuing | Sharing, new: New, cached: tuple[torch.Tensor, torch.Tensor], how: How
) -> torch.Tensor:
    """[rows, tokens of a row, heads, size]"""
    rows, count = chunks.tokens.shape
    keys, values = (gather(tensor, chunks.pages, rows).transpose(0, 1).to(new[0].dtype) for tensor in cached)
    query = new[0].index_select(1, chunks.tokens.flatten()).unflatten(1, (rows, count)).transpose(0, 1)
    return attend(query, keys, values, how[0], chunks.mask(how[1])).transpose(1, 2)


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Without a mask each token sees itself and what is before it."""
    grouped = query.shape[1] != key.shape[1]
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped
    )


TORCH = Way("torch's attention", attend_rows)
