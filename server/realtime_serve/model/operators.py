"""What compiled code calls and does not look into: attention, which changes with every step, and packed layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol
from weakref import WeakValueDictionary

import torch
from torch import library

New = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, keys and values of a step's tokens, each [heads, tokens, size]."""
How = tuple[float | None, int | None]
"""Scaling and window."""


class Attention(Protocol):
    """Of one model."""

    def attend(self, layer: int, new: New, how: How) -> torch.Tensor:
        """[heads, tokens, size] each → [1, tokens, heads, size]."""


class Layer(Protocol):
    """A packed linear layer."""

    def product(self, tokens: torch.Tensor) -> torch.Tensor:
        """[..., in] → [..., out], without its bias."""


_LIBRARY = library.Library("realtime_serve", "DEF")
_LIBRARY.define(
    "attend(Tensor query, Tensor key, Tensor value, Tensor layer, float? scaling, int? window, int owner) -> Tensor"
)
_LIBRARY.define("linear(Tensor tokens, Tensor layer, int size) -> Tensor")

_attentions: WeakValueDictionary[int, Attention] = WeakValueDictionary()
_layers: WeakValueDictionary[int, Layer] = WeakValueDictionary()
_numbers = count()


calls: Any = torch.ops.realtime_serve
"""The operators that are written into code that is compiled now: these, or those of `native`."""


@contextmanager
def called(others: Any) -> Iterator[None]:
    global calls  # noqa: PLW0603  # torch's compiler reads it while it looks through layers of all kinds
    before, calls = calls, others
    try:
        yield
    finally:
        calls = before


def own_attention(attention: Attention) -> int:
    """The number under which compiled code finds it, as long as somebody holds it."""
    number = next(_numbers)
    _attentions[number] = attention
    return number


def own_layer(layer: Layer) -> torch.Tensor:
    """Likewise. A tensor: a number would become part of the code, and each layer have code of its own."""
    number = next(_numbers)
    _layers[number] = layer
    return torch.tensor(number)


def _attend(  # noqa: PLR0917  # the operator's own signature
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layer: torch.Tensor,
    scaling: float | None,
    window: int | None,
    owner: int,
) -> torch.Tensor:
    new = query[0], key[0], value[0]
    return _attentions[owner].attend(int(layer), new, (scaling, window)).contiguous()


def attended(query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor, *_: object) -> torch.Tensor:
    return query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])


def _linear(tokens: torch.Tensor, layer: torch.Tensor, _size: int) -> torch.Tensor:
    return _layers[int(layer)].product(tokens)


def multiplied(tokens: torch.Tensor, _layer: torch.Tensor, size: int) -> torch.Tensor:
    return tokens.new_empty(*tokens.shape[:-1], size)


_LIBRARY.impl("linear", _linear, "CPU")
_LIBRARY.impl("attend", _attend, "CPU")
library.register_fake("realtime_serve::attend", attended, lib=_LIBRARY)
library.register_fake("realtime_serve::linear", multiplied, lib=_LIBRARY)
