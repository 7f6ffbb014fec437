"""Weights of linear layers in the order and the types in which oneDNN's kernels multiply them fastest.

A plain weight is put into that order anew at every multiplication: for a few rows that costs as much as the multiplication.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from realtime_serve.model.operators import multiply
from realtime_serve.model.processor import has_kernels, is_native

log = logging.getLogger("realtime_serve.model")

ROWS = 512
"""The batch that the order is chosen for. It is the same for one row and for a thousand."""
SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one module that most families give the same input, in the order of their calls: multiplied at once, because for a
few rows the start of a multiplication costs as much as a small one."""


@dataclass(frozen=True)
class Types:
    """In which a packed layer multiplies: what few bytes are quickest for, and what few instructions are."""

    one: torch.dtype
    """One row: its time goes into reading the weights."""
    more: torch.dtype


class PackedLinear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer that takes and gives its model's type, and multiplies in what its processor is quickest at."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, types: Types) -> None:
        """weight: [out, in]"""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.types = types
        self.nbytes = weight.numel() * types.one.itemsize
        self._one = Order(weight, bias, types.one)
        self._more = self._one if types.more == types.one else Order(weight, bias, types.more)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        order = self._one if tokens.numel() == self.in_features else self._more
        return order.multiply(tokens.to(order.dtype)).to(tokens.dtype)


class Order:
    """A weight in the order of one type's kernels."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        self.dtype = dtype
        wanted = weight.detach().to(dtype).contiguous()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(wanted, ROWS)  # noqa: SLF001  # torch offers no public way
        self._bias = None if bias is None else bias.detach().to(dtype)

    def multiply(self, tokens: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            result: torch.Tensor = torch.ops.realtime_serve.linear(tokens, self._weight, self._bias)
            return result
        return multiply(tokens, self._weight, self._bias)


class Joined(torch.nn.Module):  # type: ignore[misc]
    """Linear layers side by side. The first that is given a tensor computes for all, the others find their part."""

    def __init__(self, layers: list[torch.nn.Linear], types: Types) -> None:
        super().__init__()
        self._sizes = [layer.out_features for layer in layers]
        bias = None
        if any(layer.bias is not None for layer in layers):
            bias = torch.cat([bias_of(layer) for layer in layers])
        self.packed = PackedLinear(torch.cat([layer.weight for layer in layers]), bias, types)
        self._tokens: torch.Tensor | None = None
        self._parts: tuple[torch.Tensor, ...] = ()

    def part(self, number: int, tokens: torch.Tensor) -> torch.Tensor:
        if self._tokens is not tokens:
            self._parts = self.packed(tokens).split(self._sizes, dim=-1)
            self._tokens = tokens
        part = self._parts[number]
        if number == len(self._sizes) - 1:
            self._tokens, self._parts = None, ()  # memory for the layers that follow
        return part


class JoinedLinear(torch.nn.Module):  # type: ignore[misc]
    """One of them, where its model looks for it."""

    def __init__(self, joined: Joined, number: int) -> None:
        super().__init__()
        self._joined, self._number = joined, number

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._joined.part(self._number, tokens)


def bias_of(layer: torch.nn.Linear) -> torch.Tensor:
    bias: torch.Tensor = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
    return bias


def join(module: torch.nn.Module, types: Types) -> None:
    """Those of its children that can be: plain linear layers of one input size."""
    for names in SIBLINGS:
        found: list[Any] = [getattr(module, name, None) for name in names]
        layers = [layer for layer in found if type(layer) is torch.nn.Linear]
        if len(layers) == len(names) and len({layer.in_features for layer in layers}) == 1:
            joined = Joined(layers, types)
            for number, name in enumerate(names):
                setattr(module, name, JoinedLinear(joined, number))


def pack(model: torch.nn.Module, free: int) -> None:
    """Replace every linear layer that oneDNN can pack. Weights that nothing else uses are freed. free: bytes of memory."""
    parameter = next(model.parameters())
    weights = [weight for module in model.modules() if (weight := weight_of(module)) is not None]
    types = pick_types(parameter, 4 * sum(weight.numel() for weight in weights), free)
    if types is None:
        return
    for module in list(model.modules()):
        join(module, types)
        for name, child in list(module.named_children()):
            if (weight := weight_of(child)) is not None:
                setattr(module, name, PackedLinear(weight, child.bias, types))


def pick_types(parameter: torch.Tensor, wide: int, free: int) -> Types | None:
    """For weights like this one; None: they are left as they are. wide: bytes that all of them take in float32.

    Those that the processor does not multiply in hardware are kept in float32 as well where that leaves half of what is free.
    """
    dtype: torch.dtype = parameter.dtype
    if parameter.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    own = Types(dtype, dtype) if has_kernels(dtype) else None
    if is_native(dtype):
        return own
    if wide > free // 2:
        log.warning("no room for the weights in float32, in which this processor is faster")
        return own
    return Types(own.one if own else torch.float32, torch.float32)


def weight_of(module: Any) -> torch.Tensor | None:
    """[out, in] of a plain linear layer; None for every other module and for what was derived from one."""
    if type(module) is torch.nn.Linear:
        return module.weight
    if type(module) is Conv1D:
        transposed: torch.Tensor = module.weight.t()
        return transposed
    return None
