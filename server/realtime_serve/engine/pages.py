"""Who holds which page of the KV cache, and what is in it. Pure.

A page has room for the keys and values of `size` tokens, in every layer. A page that is full gets a name, the hash of its
tokens and of all before them; a sequence that begins with the same tokens holds the page too, and need not compute it. A
named page that nobody holds stays until its place is wanted, the one that was left alone longest going first.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

NAME_BYTES = 16


class PageTable:
    def __init__(self, *, count: int, size: int) -> None:
        self.count = count
        self.size = size
        # What was given back last goes first: it may still be in the processor's cache.
        self._free = list(range(count - 1, -1, -1))
        self._idle: OrderedDict[int, None] = OrderedDict()
        """Named, held by nobody; the one to go first stands first."""
        self._holders = [0] * count
        self._pages: dict[bytes, int] = {}
        self._names: dict[int, bytes] = {}
        self._spoilt: set[int] = set()
        self._to_clean: list[int] = []

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free) + len(self._idle)

    @property
    def held(self) -> int:
        """Pages that somebody holds, each once however many hold it."""
        return sum(1 for holders in self._holders if holders)

    @property
    def usage(self) -> float:
        """Share of the pages that somebody holds."""
        return 1 - self.free / self.count

    def needed(self, tokens: int, held: int) -> int:
        """Pages to add to `held` ones so that `tokens` fit."""
        return max(0, -(-tokens // self.size) - held)

    def take(self, number: int) -> list[int] | None:
        """That many pages, or None and nothing changed."""
        if number > self.free:
            return None
        return [self._take_one() for _ in range(number)]

    def share(self, names: Iterable[bytes]) -> list[int]:
        """Hold the pages of these names too, up to the first that is not there."""
        shared: list[int] = []
        for name in names:
            page = self._pages.get(name)
            if page is None:
                break
            self._idle.pop(page, None)
            self._holders[page] += 1
            shared.append(page)
        return shared

    def knows(self, name: bytes) -> bool:
        return name in self._pages

    def name(self, page: int, name: bytes) -> None:
        """The page is full, and this is what it holds. Of two pages with the same tokens the first one keeps the name."""
        if page not in self._names and name not in self._pages:
            self._pages[name] = page
            self._names[page] = name

    def give_back(self, pages: list[int], *, spoilt: bool = False) -> None:
        """`spoilt`: what is in them is wrong. Nobody gets it by name, and it is wiped before somebody gets the page."""
        for page in reversed(pages):  # the end of a text is of less use without its beginning
            self._holders[page] -= 1
            if spoilt:
                self._forget(page)
                self._spoilt.add(page)
            if not self._holders[page]:
                if page in self._names:
                    self._idle[page] = None
                else:
                    self._free.append(page)
        pages.clear()

    def to_clean(self) -> list[int]:
        """Pages taken since the last call that have to be wiped before they are written."""
        found, self._to_clean = self._to_clean, []
        return found

    def _take_one(self) -> int:
        if self._free:
            page = self._free.pop()
        else:
            page, _ = self._idle.popitem(last=False)
            self._forget(page)
        if page in self._spoilt:
            self._spoilt.remove(page)
            self._to_clean.append(page)
        self._holders[page] = 1
        return page

    def _forget(self, page: int) -> None:
        if (name := self._names.pop(page, None)) is not None:
            del self._pages[name]


def name_pages(before: bytes, tokens: list[int], size: int) -> list[bytes]:
    """Names of the full pages of `tokens`, which stand behind the page named `before`.

    A cryptographic hash: nobody can make a text whose pages are called like those of somebody else's.
    """
    names = []
    for start in range(0, len(tokens) - size + 1, size):
        text = array("q", tokens[start : start + size]).tobytes()
        before = blake2b(text, key=before, digest_size=NAME_BYTES).digest()
        names.append(before)
    return names
