"""Who owns which page of the KV cache. Pure.

A page holds the keys and values of `size` tokens of one sequence, in every layer. The runner may make a page as long
as the longest sequence, so that each sequence's memory is in one piece; nothing here depends on it.
"""

from __future__ import annotations


class PageTable:
    def __init__(self, *, count: int, size: int) -> None:
        self.count = count
        self.size = size
        # The lowest free page goes first: pages in use stay close together, which a runner can make use of.
        self._free = list(range(count - 1, -1, -1))

    @property
    def free(self) -> int:
        return len(self._free)

    def needed(self, tokens: int, held: int) -> int:
        """Pages to add to `held` ones so that `tokens` fit."""
        return max(0, -(-tokens // self.size) - held)

    def take(self, number: int) -> list[int] | None:
        """That many pages, or None and nothing changed."""
        if number > len(self._free):
            return None
        return [self._free.pop() for _ in range(number)]

    def give_back(self, pages: list[int]) -> None:
        self._free.extend(pages)
        self._free.sort(reverse=True)
        pages.clear()
