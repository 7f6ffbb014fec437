"""Where each token of a step is written and what it may see: made once a step, used by every layer.

Rows that are alike are computed together: those that decode over about as many pages, and prompts that begin in this step and
are about as long. So a row costs what its own length costs, at most `WASTE` times that. Rows that go on from the same pages
stand in one line behind those, which are then read once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any, Protocol, TypeVar

import torch

from realtime_serve.engine.batch import Batch, Row
from realtime_serve.model.kv import PAGE_TOKENS

T = TypeVar("T")

WASTE = 1.5
"""Rows are computed together as long as that costs at most this times what they would cost alone."""


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
        pages = [row.sequence.pages[: pages_seen(row)] for row in self._rows]
        most = max(map(len, pages))
        padded = [some + [self._blank] * (most - len(some)) for some in pages]
        return torch.tensor(padded, device=self._device, dtype=torch.int32)

    @cached_property
    def lengths(self) -> torch.Tensor:
        return torch.tensor([row.end for row in self._rows], device=self._device, dtype=torch.int32)

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


class Beginning:
    """Prompts of which nothing is computed yet: they see nothing but themselves."""

    def __init__(self, rows: list[Placed], device: torch.device) -> None:
        counts = [len(placed.row.tokens) for placed in rows]
        self.rows, self.longest = len(rows), max(counts)
        begin, end = rows[0].first, rows[0].first + self.rows * self.longest
        firsts = [placed.first for placed in rows]
        even = min(counts) == self.longest and firsts == [*range(begin, end, self.longest)]
        self._span = slice(begin, end) if even else None
        if even:
            return
        lengths = torch.tensor(counts, device=device)[:, None]
        places = torch.arange(self.longest, device=device)
        tokens = torch.tensor(firsts, device=device)[:, None] + torch.minimum(places, lengths - 1)
        self._tokens = tokens.flatten()
        """Places in the step; a shorter row's last token stands for those that it lacks."""
        self._real = (places < lengths).flatten()
        self._written = self._tokens[self._real]

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """[heads, tokens of the step, size] → [rows, heads, longest, size]"""
        mine = tensor.index_select(1, self._tokens) if self._span is None else tensor[:, self._span]
        return mine.unflatten(1, (self.rows, self.longest)).transpose(0, 1)

    def write(self, output: torch.Tensor, answer: torch.Tensor) -> None:
        """What is real of [rows, heads, longest, size] to [tokens of the step, heads, size]."""
        flat = answer.transpose(1, 2).flatten(0, 1)
        if self._span is None:
            output[self._written] = flat[self._real]
        else:
            output[self._span] = flat


class Continuing:
    """As many tokens of each of some prompts, whose beginnings are in the pages already."""

    def __init__(self, rows: list[Placed], blank: int, device: torch.device) -> None:
        count = len(rows[0].row.tokens)
        firsts = torch.tensor([placed.first for placed in rows], device=device)[:, None]
        self.tokens = firsts + torch.arange(count, device=device)
        """[rows, tokens of a row]: places in the step."""
        pages = [placed.row.sequence.pages[: pages_seen(placed.row)] for placed in rows]
        most = max(map(len, pages))
        padded = [some + [blank] * (most - len(some)) for some in pages]
        self.pages = torch.tensor(padded, device=device).flatten()
        starts = torch.tensor([placed.row.start for placed in rows], device=device)[:, None]
        self._positions = (starts + torch.arange(count, device=device))[:, None, :, None]
        self._columns = torch.arange(most * PAGE_TOKENS, device=device)
        self._masks: dict[int | None, torch.Tensor] = {}

    def mask(self, window: int | None) -> torch.Tensor:
        """[rows, 1, tokens, columns]: True where a token may look: at itself and what is before it, inside the window."""
        if window not in self._masks:
            seen = self._columns <= self._positions
            if window is not None:
                seen &= self._columns > self._positions - window
            self._masks[window] = seen
        return self._masks[window]


class Sharing:
    """Rows that go on from the same pages: these pages once, and behind them the pages that are each row's own."""

    def __init__(self, rows: list[Placed], device: torch.device) -> None:
        shared = pages_shared(rows[0].row, rows[-1].row)
        places = [place for some in rows for place in range(some.first, some.first + len(some.row.tokens))]
        self.tokens = torch.tensor([places], device=device)
        """[1, tokens of all rows]: places in the step."""
        pages = rows[0].row.sequence.pages[:shared]
        starts, owners = [*range(shared)], [-1] * shared
        for number, placed in enumerate(rows):
            own = placed.row.sequence.pages[shared : pages_seen(placed.row)]
            pages += own
            starts += range(shared, shared + len(own))
            owners += [number] * len(own)
        self.pages = torch.tensor(pages, device=device)
        within = torch.arange(PAGE_TOKENS, device=device)
        self._columns = (torch.tensor(starts, device=device)[:, None] * PAGE_TOKENS + within).flatten()
        column_owners = torch.tensor(owners, device=device).repeat_interleave(PAGE_TOKENS)
        token_owners = [number for number, some in enumerate(rows) for _ in some.row.tokens]
        mine = column_owners == torch.tensor(token_owners, device=device)[:, None]
        self._visible = mine | (column_owners < 0)
        positions = [position for some in rows for position in range(some.row.start, some.row.end)]
        self._positions = torch.tensor(positions, device=device)[:, None]
        self._masks: dict[int | None, torch.Tensor] = {}

    def mask(self, window: int | None) -> torch.Tensor:
        """[1, 1, tokens of all rows, columns]: True where a token may look."""
        if window not in self._masks:
            seen = self._visible & (self._columns <= self._positions)
            if window is not None:
                seen &= self._columns > self._positions - window
            self._masks[window] = seen[None, None]
        return self._masks[window]


class StepPlan:
    def __init__(self, batch: Batch, blank: int, device: torch.device, *, ragged: bool = False) -> None:
        """blank: a page of zeros. ragged: decoding rows cost what their own length costs in any company."""
        rows, first = [], 0
        for row in batch.rows:
            rows.append(Placed(row, first))
            first += len(row.tokens)
        self.places = torch.tensor([place for row in batch.rows for place in slots(row)], device=device)
        """Of each token in the cache, counted in tokens."""
        decoding, prompts = rows[: batch.decoding], rows[batch.decoding :]
        fresh = [placed for placed in prompts if placed.row.start == 0]
        groups = [decoding] * bool(decoding) if ragged else alike(decoding, pages_seen)
        alone = len(groups) == 1 and not prompts
        self.decoding = [Decoding(some, blank, device, alone=alone) for some in groups]
        self.only = self.decoding[0] if alone else None
        """Rows that are all that the step computes."""
        self.beginning = [Beginning(some, device) for some in alike(fresh, squared)]
        together, apiece = apart([placed for placed in prompts if placed.row.start > 0])
        begun: dict[int, list[Placed]] = {}
        for placed in apiece:
            begun.setdefault(len(placed.row.tokens), []).append(placed)
        chunks = [some for found in begun.values() for some in alike(found, pages_seen)]
        self.continuing: list[Continuing | Sharing] = [Continuing(some, blank, device) for some in chunks]
        self.continuing += [Sharing(some, device) for some in together]

    def put(self, cached: torch.Tensor, tokens: torch.Tensor) -> None:
        """Write keys or values of the step's tokens, [heads, tokens, size], into a layer's pages."""
        pages, places = self._spots
        cached[:, pages, places] = tokens.to(cached.dtype)

    @cached_property
    def _spots(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pages, and places in them."""
        return self.places // PAGE_TOKENS, self.places % PAGE_TOKENS


def slots(row: Row) -> list[int]:
    """Where the row's tokens are written, in tokens from the cache's first."""
    pages = row.sequence.pages
    return [
        pages[position // PAGE_TOKENS] * PAGE_TOKENS + position % PAGE_TOKENS
        for position in range(row.start, row.end)
    ]


def pages_seen(row: Row) -> int:
    return -(-row.end // PAGE_TOKENS)


def pages_shared(one: Row, other: Row) -> int:
    """How many pages both begin with."""
    most = min(pages_seen(one), pages_seen(other))
    pairs = zip(one.sequence.pages[:most], other.sequence.pages[:most], strict=True)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def apart(rows: list[Placed]) -> tuple[list[list[Placed]], list[Placed]]:
    """Groups that share pages, each as large as what its rows have of their own is no more than what they share; and the rest."""
    groups: list[list[Placed]] = []
    total = 0
    # In this order those that share most stand beside each other, and a group shares what its first and its last one do.
    for placed in sorted(rows, key=lambda placed: placed.row.sequence.pages):
        total += pages_seen(placed.row)
        if groups:
            shared = pages_shared(groups[-1][0].row, placed.row)
            if total <= (len(groups[-1]) + 2) * shared:
                groups[-1].append(placed)
                continue
        groups.append([placed])
        total = pages_seen(placed.row)
    return [some for some in groups if len(some) > 1], [some[0] for some in groups if len(some) == 1]


def squared(row: Row) -> int:
    """What attention over a whole prompt costs."""
    return len(row.tokens) ** 2


def alike(rows: list[Placed], cost: Callable[[Row], int]) -> list[list[Placed]]:
    """Groups in which all cost about the same, the dearest first: each costs as much as its dearest."""
    groups: list[list[Placed]] = []
    spent = 0
    for placed in sorted(rows, key=lambda placed: -cost(placed.row)):
        own = cost(placed.row)
        if groups:
            together = (len(groups[-1]) + 1) * cost(groups[-1][0].row)
            if together <= WASTE * (spent + own):
                groups[-1].append(placed)
                spent += own
                continue
        groups.append([placed])
        spent = own
    return [sorted(group, key=lambda placed: placed.first) for group in groups]
