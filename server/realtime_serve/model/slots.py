"""Which slot of a captured step's buffers each sequence has, and what the device has to be told before a step. Pure.

The device goes on by itself: after a step it knows each row's new token and position. It is told of rows that join or leave,
of new pages, and of rows that another path took further. What it knows is kept here as it was told or must have gone on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from realtime_serve.engine.batch import Row
from realtime_serve.engine.sequence import Sequence

TOKEN, POSITION, ADVANCE, SEED, TEMPERATURE, PAGES = range(6)
"""Columns of a slot, 64 bits each: the token to compute and its place, by how much the place grows a step (0 where nobody sits),
what the draws hang on (`premixed`), the temperature as a float64, and from the last one on the pages."""
COLDEST: Final = 1e-3
"""A lower temperature than this is no other: the likeliest token, unless two are as good as equal."""
SEED_FACTOR: Final = 0x9E3779B97F4A7C15


@dataclass
class Seat:
    """What the device knows of a sequence."""

    sequence: Sequence
    position: int
    token: int
    pages: list[int]


@dataclass(frozen=True)
class Seating:
    places: list[int]
    """The slots of the step's rows, in their order."""
    size: int
    """The bucket: so many slots are computed."""
    patch: dict[int, int]
    """By its place in the buffers, one slot behind the other: what changes."""


class Slots:
    def __init__(self, *, most: int, width: int, page_tokens: int, waste: int) -> None:
        """most: slots. width: numbers of a slot. waste: the page that is written where nobody sits."""
        self.most = most
        self._width = width
        self._page_tokens = page_tokens
        self._waste = waste
        self._seats: dict[int, Seat] = {}
        self._places: dict[Sequence, int] = {}

    def empty(self) -> list[int]:
        """The numbers of a slot in which nobody sits."""
        return [0] * PAGES + [self._waste] + [0] * (self._width - PAGES - 1)

    def seat(self, rows: list[Row]) -> Seating:
        """Every row gets a slot inside the bucket and keeps it as long as the bucket reaches there; all others are emptied."""
        size = bucket(len(rows), self.most)
        patch: dict[int, int] = {}
        wanted = {row.sequence for row in rows}
        for place, seat in [*self._seats.items()]:
            if place >= size or seat.sequence not in wanted:
                del self._seats[place], self._places[seat.sequence]
                self._tell(patch, place, self.empty()[: PAGES + 1])
        free = iter([place for place in range(size) if place not in self._seats])
        for row in rows:
            if row.sequence in self._places:
                self._go_on(patch, row)
            else:
                self._join(patch, next(free), row)
        places = [self._places[row.sequence] for row in rows]
        return Seating(places, size, patch)

    def book(self, rows: list[Row], tokens: Iterable[int]) -> None:
        """After a step: the device has taken each row one token further."""
        for row, token in zip(rows, tokens, strict=True):
            seat = self._seats[self._places[row.sequence]]
            seat.position, seat.token = row.end, token

    def clear(self) -> None:
        """Nobody sits anywhere, and the device knows it."""
        self._seats.clear()
        self._places.clear()

    def _join(self, patch: dict[int, int], place: int, row: Row) -> None:
        self._seats[place] = Seat(row.sequence, row.start, row.tokens[0], [])
        self._places[row.sequence] = place
        temperature = row.sampling.temperature
        heat = as_bits(max(COLDEST, temperature)) if temperature > 0 else 0
        self._tell(patch, place, [row.tokens[0], row.start, 1, premixed(row.sequence.seed), heat])
        self._tell_pages(patch, place, row)

    def _go_on(self, patch: dict[int, int], row: Row) -> None:
        place = self._places[row.sequence]
        seat = self._seats[place]
        if (row.start, row.tokens[0]) != (seat.position, seat.token):
            self._tell(patch, place, [row.tokens[0], row.start])
            # Another path has taken it further; if it was preempted meanwhile, its pages are others.
            if row.sequence.pages[: len(seat.pages)] != seat.pages:
                seat.pages = []
        self._tell_pages(patch, place, row)

    def _tell_pages(self, patch: dict[int, int], place: int, row: Row) -> None:
        known = self._seats[place].pages
        new = row.sequence.pages[len(known) : -(-row.end // self._page_tokens)]
        if new:
            self._tell(patch, place, new, column=PAGES + len(known))
            known += new

    def _tell(self, patch: dict[int, int], place: int, numbers: list[int], *, column: int = 0) -> None:
        patch.update(enumerate(numbers, start=place * self._width + column))


def bucket(count: int, most: int) -> int:
    """The number of slots that a step of so many rows computes: the next power of two, `most` at most."""
    return min(most, 1 << (count - 1).bit_length())


def premixed(seed: int) -> int:
    """The seed's part of `sampler.chance`, as 64 bits with a sign."""
    return signed(seed * SEED_FACTOR)


def signed(value: int) -> int:
    """The lowest 64 bits, read as torch's integers are."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def as_bits(value: float) -> int:
    found: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return found
