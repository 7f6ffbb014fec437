"""The buckets of all callers, as many as there is memory for. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from realtime_serve.callers.bucket import Bucket


class Pair(NamedTuple):
    """One caller's buckets."""

    requests: Bucket
    tokens: Bucket


class Table:
    """Forgets callers that owe nothing, and past `most` those who were not here for longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pairs: OrderedDict[str, Pair] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pairs)

    def of(self, key: str, now: float) -> Pair:
        """Return the caller's buckets, which are new or as it left them."""
        if (pair := self._pairs.get(key)) is not None:
            self._pairs.move_to_end(key)
            return pair
        self._forget(now)
        pair = self._pairs[key] = Pair(Bucket(now), Bucket(now))
        return pair

    def _forget(self, now: float) -> None:
        """Each arrival pays for a look at the two oldest, so that the idle go without a sweep."""
        for key in _first(self._pairs, 2):
            if len(self._pairs) >= self._most or _idle(self._pairs[key], now):
                del self._pairs[key]


def _first(pairs: OrderedDict[str, Pair], count: int) -> list[str]:
    return [key for key, _ in zip(pairs, range(count), strict=False)]


def _idle(pair: Pair, now: float) -> bool:
    return all(bucket.idle(now) for bucket in pair)
