"""What compiled code calls and does not look into: attention, which changes with every step, and packed layers."""

from __future__ import annotations

from itertools import count
from typing import Protocol
from weakref import WeakValueDictionary

import torch
from torch.library import Library, register_fake

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

    def multiply(self, tokens: torch.Tensor) -> torch.Tensor:
        """[..., in] → [..., out]"""


_LIBRARY = Library("realtime_serve", "DEF")
_LIBRARY.define(
    "attend(Tensor query, Tensor key, Tensor value, Tensor layer, float? scaling, int? window, int owner) -> Tensor"
)
_LIBRARY.define("linear(Tensor tokens, Tensor layer, int size) -> Tensor")

_attentions: WeakValueDictionary[int, Attention] = WeakValueDictionary()
_layers: WeakValueDictionary[int, Layer] = WeakValueDictionary()
_numbers = count()


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


def _attended(query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor, *_: object) -> torch.Tensor:
    return query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])


def _linear(tokens: torch.Tensor, layer: torch.Tensor, _size: int) -> torch.Tensor:
    return _layers[int(layer)].multiply(tokens)


def _multiplied(tokens: torch.Tensor, _layer: torch.Tensor, size: int) -> torch.Tensor:
    return tokens.new_empty(*tokens.shape[:-1], size)


_LIBRARY.impl("linear", _linear, "CPU")
_LIBRARY.impl("attend", _attend, "CPU")
register_fake("realtime_serve::attend", _attended, lib=_LIBRARY)
register_fake("realtime_serve::linear", _multiplied, lib=_LIBRARY)
