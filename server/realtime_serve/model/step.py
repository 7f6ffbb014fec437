"""Where each token of a step is written and what it may see: made once a step, used by every layer.

Rows that are alike are computed together: those that decode over about as many pages, and prompts that begin in this step and
are about as long. So a row costs what its own length costs, at most `WASTE` times that. Rows that go on from the same pages
stand in one line behind those, which are then read once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import takewhile

import torch

from realtime_serve.engine.batch import Batch, Row
from realtime_serve.model.decoding import Decoding, Placed, pages_seen
from realtime_serve.model.kv import PAGE_TOKENS

WASTE = 1.5
"""Rows are computed together as long as that costs at most this times what they would cost alone."""


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
