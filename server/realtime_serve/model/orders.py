"""The orders in which a weight lies for the kernels that multiply by it: oneDNN's, FBGEMM's of 16 bits, and our own.

A plain weight is put into a kernel's order anew at every multiplication: for a few rows that costs as much as the multiplication.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol

import torch

from realtime_serve.model.operators import own_layer
from realtime_serve.model.processor import has_halves, has_kernels, is_native, multiplies_pairs

ROWS = 512
"""The batch that oneDNN's order is chosen for. It is the same for one row and for a thousand."""
BLOCK = 128
"""Numbers of a row that have one scale as integers; see `cpp/integers.cpp`."""
ROUNDED = 1e-4
"""Of the rounding's norm to the weight's own; a bfloat16 is rounded to 4e-3 of itself."""


class Order(Protocol):
    """A weight for the kernels of one library."""

    @property
    def name(self) -> str:
        """The types that it lies in and is multiplied in."""

    @property
    def dtype(self) -> torch.dtype:
        """Of what it multiplies, and of what comes of it."""

    @property
    def nbytes(self) -> int:
        """Bytes that a multiplication reads."""

    @property
    def bias(self) -> torch.Tensor | None:
        """[out]"""

    @property
    def number(self) -> torch.Tensor:
        """Under which compiled code finds it."""

    def multiply(self, tokens: torch.Tensor) -> torch.Tensor:
        """[..., in] → [..., out]"""

    def product(self, tokens: torch.Tensor) -> torch.Tensor:
        """The same without the bias, which compiled code adds with what it adds next."""

    def owned(self, calls: Any, /) -> Order:
        """The same weight in the order that these operators (see `native`) are fastest with. They know it by its number."""


class OneDNN:
    """In the type that it is multiplied in."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        """weight: [out, in]"""
        self.dtype = dtype
        self.name = str(dtype).removeprefix("torch.")
        self.nbytes = weight.numel() * dtype.itemsize
        wanted = weight.detach().to(dtype).contiguous()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(wanted, ROWS)  # noqa: SLF001  # torch offers no public way
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.number = own_layer(self)

    def multiply(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._multiply(tokens, self.bias)

    def product(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._multiply(tokens, None)

    def _multiply(self, tokens: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            tokens, self._weight, bias, "none", [], ""
        )
        return result

    def owned(self, calls: Any) -> Order:
        if multiplies_pairs(self.dtype):
            return Bfloats(calls, self._weight.to_dense(), self.bias)
        number = int(self.number)
        calls.own_weight(number, self._weight)
        weakref.finalize(self, calls.disown_layer, number)
        return self


class Halves:
    """In float16, each number widened in a register when it is used: bytes of 16 bits and instructions of 32."""

    name = "float32, of weights in float16"
    dtype = torch.float32

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """weight: [out, in]; see `fits`."""
        self.nbytes = weight.numel() * torch.float16.itemsize
        wide = weight.detach().to(torch.float32).contiguous()
        self._packed = torch.ops.quantized.linear_prepack_fp16(wide, None)
        self.bias = None if bias is None else bias.detach().to(torch.float32)
        self.number = own_layer(self)

    def multiply(self, tokens: torch.Tensor) -> torch.Tensor:
        return with_bias(self.product(tokens), self.bias)

    def product(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(tokens, self._packed)
        return result

    def owned(self, calls: Any) -> Order:
        weight, _ = torch.ops.quantized.linear_unpack_fp16(self._packed)
        return Integers(calls, weight, self.bias)


class Panels:
    """Of outputs, in 16 bits, which operators of `native` multiply: a token's answer has the same bits in any company."""

    name: str
    dtype: torch.dtype

    def __init__(self, calls: Any, own: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """own: which of the calls lays the weight, [out, in]."""
        self._calls, self._out = calls, len(weight)
        self.nbytes = weight.numel() * torch.int16.itemsize
        self.bias = bias
        self.number = own_layer(self)
        number = int(self.number)
        own(number, weight)
        weakref.finalize(self, calls.disown_layer, number)

    def multiply(self, tokens: torch.Tensor) -> torch.Tensor:
        return with_bias(self.product(tokens), self.bias)

    def product(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self._calls.linear(tokens, self.number, self._out)
        return result

    def owned(self, _: Any) -> Order:
        return self


class Integers(Panels):
    """Of 16 bits, with a scale for each block of 128 numbers of a row, of weight and token alike: multiplied at twice float32's pace.

    A block is rounded by less than a thousandth of its norm, whatever its numbers, where bfloat16 rounds by up to two. Sums of
    a block are exact.
    """

    name = "int16, of blocks with a scale"
    dtype = torch.float32

    def __init__(self, calls: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """weight: float32"""
        super().__init__(calls, calls.own_integers, weight, bias)
        self.nbytes += len(weight) * -(-weight.shape[1] // BLOCK) * torch.float32.itemsize


class Bfloats(Panels):
    """Two at once, with sums in float32: a row alone takes 0.6 of oneDNN's time, 500 rows a tenth more."""

    name = "bfloat16, in panels"
    dtype = torch.bfloat16

    def __init__(self, calls: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(calls, calls.own_bfloats, weight, bias)


def with_bias(product: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return product if bias is None else product.add_(bias)


def fits(weight: torch.Tensor) -> bool:
    """Whether float16 takes it as it is, but for numbers too small to count."""
    wide = weight.detach().to(torch.float32)
    lost = (wide.to(torch.float16).to(torch.float32) - wide).norm()
    return bool(lost <= ROUNDED * wide.norm())  # where it is too large, infinite


def pick_order(weight: torch.Tensor, bias: torch.Tensor | None) -> Order | None:
    """The fastest on this processor; None: there is none for this weight."""
    dtype = weight.dtype
    if not is_native(dtype) and has_halves() and fits(weight):
        return Halves(weight, bias)
    return OneDNN(weight, bias, dtype) if has_kernels(dtype) else None
