"""Weights of linear layers in the order in which oneDNN's kernels read them.

A plain weight is put into that order anew at every multiplication: for a few rows that costs as much as the multiplication.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

ROWS = 512
"""The batch that the order is chosen for. It is the same for one row and for a thousand."""


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


def pack(model: torch.nn.Module) -> int:
    """Replace every linear layer that oneDNN can pack; how many. Weights that nothing else uses are freed."""
    if not packable(next(model.parameters())):
        return 0
    count = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if (weight := weight_of(child)) is not None:
                setattr(module, name, PackedLinear(weight, child.bias))
                count += 1
    return count


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
