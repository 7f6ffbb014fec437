"""Attention of rows of one token on a CPU: their pages are read where they lie, at about the memory's pace.

Both of its products are weighted sums over rows of a table, which torch computes as embedding bags. An answer is the sum of
values, weighted by the softmax of the scores. A page's scores are a sum too, over the numbers of a key, each weighted by the
query's number: so a cache lies by pages, and its keys lie with the tokens of a page beside each other (`kv.Layout`). They lie
in float32, because a bag's sum has the type of its table, and scores of few bits would shift the weights of whole tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from realtime_serve.model.attention import Way
from realtime_serve.model.decoding import Rows
from realtime_serve.model.kv import PAGE_TOKENS, Layout
from realtime_serve.model.operators import How, New

MOST_INT32 = 2**31 - 1
SUM = 0
"""The number of that mode."""


class Bag:
    """Which rows of a table each sum is over. Sums over the same pages stand beside each other, so that the second reads a cache."""

    def __init__(self, rows: torch.Tensor) -> None:
        """rows: [sums, rows of a sum]"""
        self.rows = rows.flatten()
        self._starts = torch.arange(len(rows), dtype=rows.dtype) * rows.shape[1]

    def sum(self, table: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """[sums, numbers of the table's rows]; weights: [sums, rows of a sum]."""
        # torch.nn.functional's embedding_bag checks and computes anew at each call what never changes within a step.
        found: torch.Tensor = torch.embedding_bag(
            table,
            self.rows,
            self._starts,
            scale_grad_by_freq=False,
            mode=SUM,
            per_sample_weights=weights.reshape(-1),
        )[0]
        return found


@dataclass(frozen=True)
class Bags:
    keys: Bag
    """[heads that share x rows x heads of a share x pages of a row, key size]: of [pages x heads that share x key size, PAGE_TOKENS]."""
    values: Bag
    """[heads that share x rows x heads of a share, tokens of a row]: of [pages x heads that share x PAGE_TOKENS, value size]."""


def find_bags(pages: torch.Tensor, group: int, shape: torch.Size) -> Bags:
    """pages: [rows, pages of a row]; group: heads of a share; shape: of the cached keys."""
    shared, total, _, size = shape
    rows = len(pages)
    kind = torch.int32 if shared * total * max(size, PAGE_TOKENS) <= MOST_INT32 else torch.int64
    first = pages * shared + torch.arange(shared)[:, None, None]  # [heads that share, rows, pages of a row]
    looked = first[:, :, None].expand(-1, -1, group, -1).to(kind)
    keys = looked[..., None] * size + torch.arange(size, dtype=kind)
    values = looked[..., None] * PAGE_TOKENS + torch.arange(PAGE_TOKENS, dtype=kind)
    return Bags(Bag(keys.flatten(0, 3)), Bag(values.reshape(shared * rows * group, -1)))


def attend_bags(rows: Rows, new: New, cached: tuple[torch.Tensor, torch.Tensor], how: How) -> torch.Tensor:
    """[rows, heads, size]"""
    scaling, window = how
    view, (keys, values) = rows.view(window), cached
    query = rows.of(new[0])
    heads, count, size = query.shape
    group = heads // keys.shape[0]
    pages = view.pages.view(count, -1)
    bags = view.once((group, keys.shape), lambda: find_bags(pages, group, keys.shape))
    asked = query.view(-1, group, count, size).transpose(1, 2).to(keys.dtype)
    scores = bags.keys.sum(
        keys.permute(1, 0, 3, 2).view(-1, PAGE_TOKENS),
        asked[:, :, :, None].expand(-1, -1, -1, pages.shape[1], -1),
    ).view(-1, count, group, view.columns)
    scores.mul_(size**-0.5 if scaling is None else scaling).add_(view.mask[:, 0])
    answer = bags.values.sum(
        values.transpose(0, 1).view(-1, values.shape[3]), scores.softmax(dim=-1).to(values.dtype)
    )
    return answer.view(-1, count, group, values.shape[3]).transpose(0, 1).flatten(1, 2)


BAGS = Way("torch's embedding bags", attend_bags, layout=Layout.BY_PAGES_WIDE)
