"""Rows of one token in a step: which pages each of them looks at, and how far."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch

from realtime_serve.engine.batch import Row
from realtime_serve.model.kv import PAGE_TOKENS

T = TypeVar("T")


@dataclass(frozen=True)
class Placed:
    """A row, and the place of its first token in the step."""

    row: Row
    first: int


@dataclass(frozen=True)
class View:
    """What decoding rows look at: pages [rows x pages], a row's behind each other, and a mask over their tokens."""

    pages: torch.Tensor
    columns: int
    mask: torch.Tensor
    """[rows, 1, 1, columns], float32: 0 where a row may look, -inf elsewhere."""

    _made: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What attention makes of this view: for the first layer that asks, and for all that ask again."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def mask_as(self, dtype: torch.dtype) -> torch.Tensor:
        return self.once(dtype, lambda: self.mask.to(dtype))


class Rows(Protocol):
    """Rows of one token each, as attention needs to know them."""

    @property
    def table(self) -> torch.Tensor:
        """[rows, most pages]: each row's pages, the first first."""

    @property
    def lengths(self) -> torch.Tensor:
        """[rows]: tokens that a row sees, its own among them."""

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """[heads, tokens of the step, size] → [heads, rows, size]"""

    def view(self, window: int | None) -> View:
        """`window`: how many tokens a row sees, itself among them; None: all."""


class Decoding:
    """Rows of one token each."""

    def __init__(self, rows: list[Placed], blank: int, device: torch.device, *, alone: bool = False) -> None:
        """alone: they are all tokens of the step, in their order."""
        self.tokens = torch.tensor([placed.first for placed in rows], device=device)
        self._alone = alone
        self._rows = [placed.row for placed in rows]
        self._blank = blank
        self._device = device
        self._views: dict[int | None, View] = {}

    @cached_property
    def table(self) -> torch.Tensor:
        return page_table(self._rows, self._blank).to(self._device)

    @cached_property
    def lengths(self) -> torch.Tensor:
        return lengths_of(self._rows).to(self._device)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if self._alone else tensor.index_select(1, self.tokens)

    def view(self, window: int | None) -> View:
        if window not in self._views:
            self._views[window] = self._look(window)
        return self._views[window]

    def _look(self, window: int | None) -> View:
        first = [0 if window is None else max(0, row.end - window) // PAGE_TOKENS for row in self._rows]
        pages = [
            row.sequence.pages[start : -(-row.end // PAGE_TOKENS)]
            for start, row in zip(first, self._rows, strict=True)
        ]
        most = max(map(len, pages))
        padded = [some + [self._blank] * (most - len(some)) for some in pages]
        ends = torch.tensor([row.end for row in self._rows], device=self._device)[:, None]
        starts = torch.tensor(first, device=self._device)[:, None] * PAGE_TOKENS
        position = starts + torch.arange(most * PAGE_TOKENS, device=self._device)
        hidden = position >= ends
        if window is not None:
            hidden |= position < ends - window
        mask = torch.zeros(hidden.shape, device=self._device).masked_fill_(hidden, float("-inf"))
        table = torch.tensor(padded, device=self._device).flatten()
        return View(table, most * PAGE_TOKENS, mask[:, None, None, :])


def page_table(rows: list[Row], blank: int) -> torch.Tensor:
    """[rows, most pages]: each row's pages, the first first."""
    pages = [row.sequence.pages[: pages_seen(row)] for row in rows]
    most = max(map(len, pages))
    return torch.tensor([some + [blank] * (most - len(some)) for some in pages], dtype=torch.int32)


def lengths_of(rows: list[Row]) -> torch.Tensor:
    """[rows]: tokens that a row's last one sees, itself among them."""
    return torch.tensor([row.end for row in rows], dtype=torch.int32)


def pages_seen(row: Row) -> int:
    return -(-row.end // PAGE_TOKENS)
