"""The memory for keys and values: sized once, from what is free."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import torch

from realtime_serve.errors import EngineFailed

PAGE_TOKENS = 16
"""Tokens of a page: what sequences share is counted in these, and what the last page of a sequence leaves empty."""
MOST_SEQUENCES = 256
"""No more memory is taken than so many sequences of the greatest length fill."""


class Layout(Enum):
    """How keys and values lie in memory.

    By pages, all heads of a page lie together: the kernel gives a CPU's memory in large pieces when they are first written, and
    few tokens then touch few. A page's keys then lie with each number of all its tokens together.
    """

    BY_HEADS = auto()
    BY_PAGES = auto()
    BY_PAGES_WIDE = auto()
    """With keys in float32, whatever the model's type."""

    def key_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float32 if self is Layout.BY_PAGES_WIDE else dtype


@dataclass(frozen=True)
class Shape:
    """Of one layer's keys: learnt from a forward, because configurations name these numbers in many ways."""

    heads: int
    key_size: int
    value_size: int


class KVCache:
    """For each layer [heads, pages, tokens of a page, head size]: pages of one sequence lie anywhere."""

    def __init__(
        self,
        *,
        shapes: dict[int, Shape],
        pages: int,
        dtype: torch.dtype,
        device: torch.device,
        layout: Layout = Layout.BY_HEADS,
    ) -> None:
        self.token_bytes = bytes_per_token(shapes, dtype, layout)
        self.pages = self.blank = pages
        """The page after the last one stays blank: where rows of a step are of different length, it stands for what they lack."""
        self.waste = pages + 1
        """The last page is written where a step computes more rows than there are, and never read for one that counts."""
        self.device = device
        # Zeros, because what a mask hides must still be finite: NaN times nothing is NaN.
        self._layers = {
            layer: lay(shape, pages + 2, dtype, device, layout) for layer, shape in shapes.items()
        }

    @property
    def layers(self) -> list[int]:
        """Their numbers."""
        return list(self._layers)

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of one layer."""
        return self._layers[index]

    def clean(self, pages: list[int]) -> None:
        """Fill them with zeros."""
        for keys, values in self._layers.values():
            keys[:, pages] = 0
            values[:, pages] = 0


def lay(
    shape: Shape, pages: int, dtype: torch.dtype, device: torch.device, layout: Layout
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of a layer, zeros."""
    if layout is Layout.BY_HEADS:
        return (
            zeros((shape.heads, pages, PAGE_TOKENS, shape.key_size), dtype, device),
            zeros((shape.heads, pages, PAGE_TOKENS, shape.value_size), dtype, device),
        )
    keys = zeros((pages, shape.heads, shape.key_size, PAGE_TOKENS), layout.key_dtype(dtype), device)
    values = zeros((pages, shape.heads, PAGE_TOKENS, shape.value_size), dtype, device)
    return keys.permute(1, 0, 3, 2), values.transpose(0, 1)


def pick_pages(cached: torch.Tensor, pages: torch.Tensor) -> torch.Tensor:
    """[heads, some pages, tokens of a page, size], read in the order in which memory has them: torch would first copy all else."""
    order = sorted(range(4), key=cached.stride, reverse=True)
    found = cached.permute(order).index_select(order.index(1), pages)
    return found.permute([order.index(place) for place in range(4)])


def zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """On a CPU the kernel gives the memory when it is first written, not now."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    return torch.from_numpy(np.zeros(size, dtype=np.uint8)).view(dtype).view(shape)


def bytes_per_token(shapes: dict[int, Shape], dtype: torch.dtype, layout: Layout) -> int:
    key_bytes = layout.key_dtype(dtype).itemsize
    return sum(
        shape.heads * (shape.key_size * key_bytes + shape.value_size * dtype.itemsize)
        for shape in shapes.values()
    )


def count_pages(*, token_bytes: int, length: int, free: int, fraction: float) -> int:
    """Pages that fit into the share of free memory. Raises EngineFailed when they do not hold one sequence of `length` tokens."""
    each = -(-length // PAGE_TOKENS)
    pages = min(MOST_SEQUENCES * each, int(free * fraction) // (token_bytes * PAGE_TOKENS))
    if pages < each:
        need, have = token_bytes * length / 2**20, max(0.0, free * fraction) / 2**20
        message = (
            f"one sequence of {length} tokens needs {need:.3g} MiB of KV cache, and {have:.3g} MiB are there for it; "
            "lower maxModelLength or give the pod more memory"
        )
        raise EngineFailed("OutOfMemory", message)
    return pages
