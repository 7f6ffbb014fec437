"""Attention of rows of one token over their pages, as Triton kernels: for GPUs.

Each program reads a part of one row's keys and values through its page table and keeps a running softmax over them; a second
kernel joins the parts of a row (flash decoding; Dao, Haziza, Massa, Sizov 2023). So a long row keeps as much of the GPU busy
as many short ones, nothing is gathered, and a row costs what its own length costs. Parts are of one size whatever else is in
the batch: a row's sums are added up in the same order in any company.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton

from realtime_serve.model.decoding import Rows
from realtime_serve.model.kv import PAGE_TOKENS
from realtime_serve.model.operators import How, New
from realtime_serve.model.triton_kernels import attend_part, join_parts

PART = 256
"""Tokens that a program reads at least, where a row has so many."""
MOST_PARTS = 16
LEAST = 16
"""A side of the least matrix that tensor cores multiply."""


@dataclass(frozen=True)
class TritonDecode:
    longest: int
    """Tokens of the longest row that can come."""

    def __call__(
        self, rows: Rows, new: New, cached: tuple[torch.Tensor, torch.Tensor], how: How
    ) -> torch.Tensor:
        """[rows, heads, size]"""
        queries = rows.of(new[0]).transpose(0, 1)
        return attend_pages(queries, *cached, rows.table, rows.lengths, how, part=part_tokens(self.longest))


def part_tokens(longest: int) -> int:
    """Whole tiles of either size."""
    return max(PART, -(-longest // (MOST_PARTS * PART)) * PART)


def attend_pages(  # noqa: PLR0917
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    table: torch.Tensor,
    lengths: torch.Tensor,
    how: How,
    *,
    part: int = PART,
) -> torch.Tensor:
    """[rows, heads, size] → [rows, heads, value size].

    keys, values: [heads that share, pages, PAGE_TOKENS, size]; table: [rows, most pages], integers; lengths: [rows], at least 1.
    part: tokens of a part, a multiple of PART.
    """
    scaling, window = how
    count, heads, size = queries.shape
    shared, value_size = keys.shape[0], values.shape[3]
    parts = max(1, -(-table.shape[1] * PAGE_TOKENS // part))
    group = heads // shared
    block, value_block = padded(size), padded(value_size)
    output = queries.new_empty(count, heads, value_size)
    partial = (
        queries.new_empty((count, heads, parts, value_size), dtype=torch.float32) if parts > 1 else output
    )
    levels = queries.new_empty((count, heads, parts), dtype=torch.float32)
    attend_part[count, shared, parts](
        queries, keys, values, table, lengths, partial, levels,
        (size**-0.5 if scaling is None else scaling) * math.log2(math.e), window or 0,
        *queries.stride(), *keys.stride()[:3], *values.stride()[:3], table.stride(0),
        PART=part, GROUP=group, HEADS=padded(group), SIZE=size, VALUE_SIZE=value_size,
        BLOCK=block, VALUE_BLOCK=value_block, PAGE=PAGE_TOKENS, TILE=tile(max(block, value_block), keys.itemsize),
        PARTS=parts, WINDOWED=window is not None,
        # The interpreter, which stands in for the GPU in tests, cannot multiply bfloat16.
        WIDE=queries.device.type == "cpu",
        num_warps=4, num_stages=2,
    )  # fmt: skip
    if parts > 1:
        join_parts[count, heads](
            partial, levels, output, lengths, window or 0,
            PART=part, PARTS=parts, PARTS_BLOCK=triton.next_power_of_2(parts), HEADS=heads,
            VALUE_SIZE=value_size, VALUE_BLOCK=value_block, WINDOWED=window is not None,
        )  # fmt: skip
    return output


def padded(size: int) -> int:
    power: int = triton.next_power_of_2(size)
    return max(LEAST, power)


def tile(block: int, itemsize: int) -> int:
    """Tokens read at a time: as many as leave room in a core's fast memory for the next ones."""
    return 64 if block * itemsize <= 256 else 32
