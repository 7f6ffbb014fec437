"""Kernels of `model.triton_decode`. Written in Triton's own dialect of Python: capitals are known when a kernel is compiled."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def attend_part(
    queries, keys, values, table, lengths, output, levels,
    scale, window,
    query_row, query_head, query_place, key_head, key_page, key_token, value_head, value_page, value_token, table_row,
    PART: tl.constexpr, GROUP: tl.constexpr, HEADS: tl.constexpr, SIZE: tl.constexpr, VALUE_SIZE: tl.constexpr,
    BLOCK: tl.constexpr, VALUE_BLOCK: tl.constexpr, PAGE: tl.constexpr, TILE: tl.constexpr,
    PARTS: tl.constexpr, WINDOWED: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """One row, the heads that share keys, one part: the weighted mean of its values, and log2 of the sum of its weights."""
    row, shared, part = tl.program_id(0), tl.program_id(1).to(tl.int64), tl.program_id(2)
    length = tl.load(lengths + row).to(tl.int32)
    begin, end = part * PART, tl.minimum(length, (part + 1) * PART)
    if WINDOWED:
        begin = tl.maximum(begin, tl.maximum(length - window, 0) // TILE * TILE)
    if begin < end:
        heads, tokens = tl.arange(0, HEADS), tl.arange(0, TILE)
        places, value_places = tl.arange(0, BLOCK), tl.arange(0, VALUE_BLOCK)
        head = shared * GROUP + heads
        is_head, is_place, is_value = heads < GROUP, places < SIZE, value_places < VALUE_SIZE
        query = tl.load(
            queries + row * query_row + head[:, None] * query_head + places[None, :] * query_place,
            mask=is_head[:, None] & is_place[None, :], other=0.0,
        )  # fmt: skip
        if WIDE:
            query = query.to(tl.float32)
        highest = tl.full((HEADS,), float("-inf"), tl.float32)
        total = tl.zeros((HEADS,), tl.float32)
        mean = tl.zeros((HEADS, VALUE_BLOCK), tl.float32)
        for first in range(begin, end, TILE):
            position = first + tokens
            seen = position < end
            if WINDOWED:
                seen &= position >= length - window
            page = tl.load(table + row * table_row + position // PAGE, mask=position < end, other=0).to(
                tl.int64
            )
            within = position % PAGE
            key = tl.load(
                keys + shared * key_head + (page * key_page + within * key_token)[:, None] + places[None, :],
                mask=seen[:, None] & is_place[None, :], other=0.0,
            )  # fmt: skip
            value = tl.load(
                values + shared * value_head + (page * value_page + within * value_token)[:, None] + value_places[None, :],
                mask=seen[:, None] & is_value[None, :], other=0.0,
            )  # fmt: skip
            if WIDE:
                key, value = key.to(tl.float32), value.to(tl.float32)
            scores = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
            scores = tl.where(seen[None, :], scores, float("-inf"))
            higher = tl.maximum(highest, tl.max(scores, 1))
            weights = tl.exp2(scores - higher[:, None])
            fade = tl.exp2(highest - higher)
            total = total * fade + tl.sum(weights, 1)
            mean = mean * fade[:, None] + tl.dot(weights.to(value.dtype), value, input_precision="ieee")
            highest = higher
        slot = ((row * tl.num_programs(1) + shared) * GROUP + heads) * PARTS + part
        mean = mean / total[:, None]
        tl.store(
            output + slot[:, None] * VALUE_SIZE + value_places[None, :],
            mean.to(output.dtype.element_ty), mask=is_head[:, None] & is_value[None, :],
        )  # fmt: skip
        tl.store(levels + slot, highest + tl.log2(total), mask=is_head)


@triton.jit
def join_parts(
    partial, levels, output, lengths, window,
    PART: tl.constexpr, PARTS: tl.constexpr, PARTS_BLOCK: tl.constexpr, HEADS: tl.constexpr,
    VALUE_SIZE: tl.constexpr, VALUE_BLOCK: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """One row and head: the mean of its parts' means, by their weights."""
    row = tl.program_id(0)
    length = tl.load(lengths + row).to(tl.int32)
    parts, places = tl.arange(0, PARTS_BLOCK), tl.arange(0, VALUE_BLOCK)
    written = parts * PART < length
    if WINDOWED:
        written &= parts >= tl.maximum(length - window, 0) // PART
    slot = row.to(tl.int64) * HEADS + tl.program_id(1)
    level = tl.load(levels + slot * PARTS + parts, mask=written, other=float("-inf"))
    weights = tl.exp2(level - tl.max(level, 0))
    means = tl.load(
        partial + (slot * PARTS + parts)[:, None] * VALUE_SIZE + places[None, :],
        mask=written[:, None] & (places < VALUE_SIZE)[None, :], other=0.0,
    )  # fmt: skip
    mean = tl.sum(means * weights[:, None], 0) / tl.sum(weights, 0)
    tl.store(output + slot * VALUE_SIZE + places, mean.to(output.dtype.element_ty), mask=places < VALUE_SIZE)
