"""What compiled code calls and does not look into: attention, which changes with every step, and oneDNN's packed layers."""

from __future__ import annotations

from itertools import count
from typing import Protocol
from weakref import WeakValueDictionary

import torch


class Attention(Protocol):
    """Of one model."""

    def attend(  # noqa: PLR0917  # as the operator has it
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        layer: int,
        scaling: float | None,
        window: int | None,
    ) -> torch.Tensor:
        """[1, heads, tokens, size] → [1, tokens, heads, size]."""


_LIBRARY = torch.library.Library("realtime_serve", "DEF")
_LIBRARY.define(
    "attend(Tensor query, Tensor key, Tensor value, Tensor layer, float? scaling, int? window, int owner) -> Tensor"
)
_LIBRARY.define("linear(Tensor tokens, Tensor weight, Tensor? bias) -> Tensor")

_owners: WeakValueDictionary[int, Attention] = WeakValueDictionary()
_numbers = count()


def own(attention: Attention) -> int:
    """The number under which compiled code finds it, as long as somebody holds it."""
    number = next(_numbers)
    _owners[number] = attention
    return number


def _attend(  # noqa: PLR0917  # the operator's own signature
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layer: torch.Tensor,
    scaling: float | None,
    window: int | None,
    owner: int,
) -> torch.Tensor:
    return _owners[owner].attend(query, key, value, int(layer), scaling, window).contiguous()


def _attended(query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor, *_: object) -> torch.Tensor:
    return query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])


def multiply(tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """[..., in] → [..., out]; weight: in oneDNN's order."""
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(tokens, weight, bias, "none", [], "")  # noqa: SLF001  # torch offers no public way
    return result


def _multiplied(tokens: torch.Tensor, weight: torch.Tensor, _bias: torch.Tensor | None) -> torch.Tensor:
    return tokens.new_empty(*tokens.shape[:-1], weight.shape[0])


for _key in ("CPU", "MkldnnCPU"):
    _LIBRARY.impl("linear", multiply, _key)
_LIBRARY.impl("attend", _attend, "CPU")
torch.library.register_fake("realtime_serve::attend", _attended, lib=_LIBRARY)
torch.library.register_fake("realtime_serve::linear", _multiplied, lib=_LIBRARY)
