"""Linear layers whose weights lie as this processor's kernels want them, and layers of one input as one."""

from __future__ import annotations

from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from realtime_serve.model import operators
from realtime_serve.model.orders import Order, pick_order

SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one module that most families give the same input, in the order of their calls: multiplied at once, because for a
few rows the start of a multiplication costs as much as a small one."""


class PackedLinear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer that takes and gives its model's type, and multiplies in what its processor is quickest at."""

    def __init__(self, order: Order, out_features: int) -> None:
        super().__init__()
        self.order = order
        self.out_features = out_features

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        wanted = tokens.to(self.order.dtype)
        if torch.compiler.is_compiling():
            found: torch.Tensor = operators.calls.linear(wanted, self.order.number, self.out_features)
            if self.order.bias is not None:
                found = found + self.order.bias
        else:
            found = self.order.multiply(wanted)
        return found.to(tokens.dtype)


class Joined(torch.nn.Module):  # type: ignore[misc]
    """Linear layers side by side. The first that is given a tensor computes for all, the others find their part."""

    def __init__(self, packed: PackedLinear, sizes: list[int]) -> None:
        super().__init__()
        self.packed = packed
        self._sizes = sizes
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


def pack(model: torch.nn.Module) -> None:
    """Replace every linear layer for which there is an order. Weights that nothing else uses are freed."""
    if next(model.parameters()).device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return
    for module in list(model.modules()):
        join(module)
        for name, child in list(module.named_children()):
            if (weight := weight_of(child)) is not None and (order := pick_order(weight, child.bias)):
                setattr(module, name, PackedLinear(order, len(weight)))


def join(module: torch.nn.Module) -> None:
    """Those of its children that can be: plain linear layers of one input size."""
    for names in SIBLINGS:
        found: list[Any] = [getattr(module, name, None) for name in names]
        layers = [layer for layer in found if type(layer) is torch.nn.Linear]
        if len(layers) < len(names) or len({layer.in_features for layer in layers}) > 1:
            continue
        bias = None
        if any(layer.bias is not None for layer in layers):
            bias = torch.cat([bias_of(layer) for layer in layers])
        sizes = [layer.out_features for layer in layers]
        if order := pick_order(torch.cat([layer.weight for layer in layers]), bias):
            joined = Joined(PackedLinear(order, sum(sizes)), sizes)
            for number, name in enumerate(names):
                setattr(module, name, JoinedLinear(joined, number))


def bias_of(layer: torch.nn.Linear) -> torch.Tensor:
    bias: torch.Tensor = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
    return bias


def weight_of(module: Any) -> torch.Tensor | None:
    """[out, in] of a plain linear layer; None for every other module and for what was derived from one."""
    if type(module) is torch.nn.Linear:
        return module.weight
    if type(module) is Conv1D:
        transposed: torch.Tensor = module.weight.t()
        return transposed
    return None
