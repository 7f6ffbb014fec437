"""Which model: what the queue holds and what series are told by."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    namespace: str
    name: str
