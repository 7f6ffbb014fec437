"""The buffers of captured steps: they lie in one place for good, and each step reads what it needs from them and writes what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from realtime_serve.model.decoding import View
from realtime_serve.model.kv import PAGE_TOKENS
from realtime_serve.model.sampler import FIRST_FACTOR, SECOND_FACTOR, pick
from realtime_serve.model.slots import ADVANCE, PAGES, POSITION, SEED, TEMPERATURE, TOKEN, signed


class StaticRows:
    """Rows of one token each whose lengths no host knows: `decoding.Rows` by tensors alone."""

    def __init__(self, table: torch.Tensor, lengths: torch.Tensor, blank: int) -> None:
        self.table = table
        self.lengths = lengths
        self._blank = blank
        self.view = cache(self._look)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The rows are all that there is."""
        return tensor

    def _look(self, window: int | None) -> View:
        """As wide as the table."""
        lengths = self.lengths[:, None]
        columns = self.table.shape[1] * PAGE_TOKENS
        position = torch.arange(columns, device=self.table.device)
        hidden = position >= lengths
        if window is not None:
            hidden |= position < lengths - window
        mask = torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, float("-inf"))
        # Behind a row's last page the table has what was there before: pages of others by now.
        pages = self.table.masked_fill(position[::PAGE_TOKENS] >= lengths, self._blank)
        return View(pages.flatten(), columns, mask[:, None, None, :])


@dataclass(frozen=True)
class StaticPlan:
    """Of a step in which every row decodes; see `step.StepPlan`."""

    writes: torch.Tensor
    rows: StaticRows

    def put(self, cached: torch.Tensor, tokens: torch.Tensor) -> None:
        """cached: of a cache that lies by heads; tokens: [heads, rows, size]."""
        cached.view(len(cached), -1, cached.shape[3]).index_copy_(1, self.writes, tokens)


class Buffers:
    def __init__(self, empty: list[int], *, most: int, device: torch.device) -> None:
        """empty: the numbers of a slot in which nobody sits."""
        self._empty = torch.tensor(empty, device=device)
        self._state = self._empty.repeat(most, 1)
        """[slots, numbers of a slot]"""
        self._chosen = torch.zeros(most, dtype=torch.long, device=device)
        self.sent = 0
        """Copies to the device so far."""

    def patch(self, changes: dict[int, int]) -> None:
        """One copy to the device, none where nothing changes."""
        if not changes:
            return
        self.sent += 1
        pair = torch.tensor([[*changes.keys()], [*changes.values()]]).to(self._state.device)
        self._state.view(-1).index_copy_(0, pair[0], pair[1])

    def clear(self) -> None:
        self._state.copy_(self._empty.expand_as(self._state))

    def save(self) -> torch.Tensor:
        return self._state.clone()

    def restore(self, saved: torch.Tensor) -> None:
        self._state.copy_(saved)

    def inputs(self, size: int, blank: int) -> tuple[torch.Tensor, torch.Tensor, StaticPlan]:
        """Tokens and positions of the first `size` slots, and where attention finds what."""
        state = self._state[:size]
        positions, table = state[:, POSITION], state[:, PAGES:]
        pages = table.gather(1, (positions // PAGE_TOKENS)[:, None])[:, 0]
        writes = pages * PAGE_TOKENS + positions % PAGE_TOKENS
        return state[:, TOKEN], positions, StaticPlan(writes, StaticRows(table, positions + 1, blank))

    def advance(self, logits: torch.Tensor, *, draws: bool) -> None:
        """Choose each slot's next token and go on to it. draws: some rows have a temperature."""
        state = self._state[: len(logits)]
        best, tokens = logits.max(dim=-1)
        if draws:
            heat = state.view(torch.float64)[:, TEMPERATURE].to(torch.float32)
            hot = heat > 0
            scaled = logits.to(torch.float32) / heat.masked_fill(~hot, 1.0)[:, None]
            chances = draw_chances(state[:, SEED], state[:, POSITION] + 1)
            tokens = torch.where(hot, pick(torch.softmax(scaled, dim=-1), chances), tokens)
        self._chosen[: len(logits)] = tokens.masked_fill(~torch.isfinite(best), -1)
        state[:, TOKEN] = tokens
        state[:, POSITION] += state[:, ADVANCE]

    def chosen(self, places: list[int]) -> list[int]:
        """The tokens of these slots, -1 where the logits were not finite. Waits for the device."""
        found = self._chosen[: max(places) + 1].tolist()
        return [found[place] for place in places]


def draw_chances(seeds: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """[rows] of float32 in [0, 1): the numbers of `sampler.chance`, for seeds that are `slots.premixed`."""
    value = seeds + positions * signed(FIRST_FACTOR)
    value = (value ^ shifted(value, 30)) * signed(FIRST_FACTOR)
    value = (value ^ shifted(value, 27)) * signed(SECOND_FACTOR)
    return shifted(value ^ shifted(value, 31), 41).to(torch.float32) / 2**23


def shifted(value: torch.Tensor, count: int) -> torch.Tensor:
    """To the right, as if the numbers had no sign."""
    return (value >> count) & ((1 << (64 - count)) - 1)
