"""Weights of linear layers in the order in which oneDNN's kernels read them.

A plain weight is put into that order anew at every multiplication: for a few rows that costs as much as the multiplication.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

ROWS = 512
"""The batch that the order is chosen for. It is the same for one row and for a thousand."""
SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one module that most families give the same input, in the order of their calls: multiplied at once, because for a
few rows the start of a multiplication costs as much as a small one."""


class PackedLinear(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """weight: [out, in]"""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.nbytes = weight.numel() * weight.itemsize
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), ROWS)  # noqa: SLF001  # torch offers no public way
        self._bias = None if bias is None else bias.detach()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            tokens, self._packed, self._bias, "none", [], ""
        )
        return result


class Joined(torch.nn.Module):  # type: ignore[misc]
    """Linear layers side by side. The first that is given a tensor computes for all, the others find their part."""

    def __init__(self, layers: list[torch.nn.Linear]) -> None:
        super().__init__()
        self._sizes = [layer.out_features for layer in layers]
        bias = None
        if any(layer.bias is not None for layer in layers):
            bias = torch.cat([bias_of(layer) for layer in layers])
        self.packed = PackedLinear(torch.cat([layer.weight for layer in layers]), bias)
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


def join(module: torch.nn.Module) -> None:
    """Those of its children that can be: plain linear layers of one input size."""
    for names in SIBLINGS:
        found: list[Any] = [getattr(module, name, None) for name in names]
        layers = [layer for layer in found if type(layer) is torch.nn.Linear]
        if len(layers) == len(names) and len({layer.in_features for layer in layers}) == 1:
            joined = Joined(layers)
            for number, name in enumerate(names):
                setattr(module, name, JoinedLinear(joined, number))


def pack(model: torch.nn.Module) -> None:
    """Replace every linear layer that oneDNN can pack. Weights that nothing else uses are freed."""
    if not packable(next(model.parameters())):
        return
    for module in list(model.modules()):
        join(module)
        for name, child in list(module.named_children()):
            if (weight := weight_of(child)) is not None:
                setattr(module, name, PackedLinear(weight, child.bias))


def packable(parameter: torch.Tensor) -> bool:
    return bool(
        parameter.device.type == "cpu"
        and parameter.dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001
    )


def weight_of(module: Any) -> torch.Tensor | None:
    """[out, in] of a plain linear layer; None for every other module and for what was derived from one."""
    if type(module) is torch.nn.Linear:
        return module.weight
    if type(module) is Conv1D:
        transposed: torch.Tensor = module.weight.t()
        return transposed
    return None
