"""In which types this machine's processor multiplies fast."""

from __future__ import annotations

from functools import cache

import torch

INSTRUCTIONS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16"),
}
"""By their names in `torch.cpu.get_capabilities`. Without them every use of a number of 16 bits widens it first: oneDNN then
multiplies at a third to a quarter of the speed of float32."""
HALVES = "fbgemm"
"""Torch's name of the library whose kernels widen float16 as fast as they read it."""


@cache
def capabilities() -> dict[str, object]:
    found: dict[str, object] = torch.cpu.get_capabilities()
    return found


def is_x86() -> bool:
    return capabilities().get("architecture") == "x86_64"


def is_native(dtype: torch.dtype) -> bool:
    """Whether it is multiplied at least as fast as float32. Of other processors than x86 torch does not tell: they are trusted."""
    if dtype not in INSTRUCTIONS or not is_x86():
        return True
    return any(capabilities().get(name) for name in INSTRUCTIONS[dtype])


def multiplies_pairs(dtype: torch.dtype) -> bool:
    """Whether it has an instruction for vectors of pairs, and none for tiles of them: those are oneDNN's."""
    return dtype == torch.bfloat16 and bool(
        capabilities().get("avx512_bf16") and not capabilities().get("amx_bf16")
    )


def has_halves() -> bool:
    return is_x86() and HALVES in torch.backends.quantized.supported_engines


def has_kernels(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies packed weights of this type, however fast."""
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  # torch offers no public way
    return bool(dtype == torch.float32 and is_x86())
