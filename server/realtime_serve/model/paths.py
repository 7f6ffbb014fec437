"""Which way decode steps go on a device."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from realtime_serve.model.attention import TORCH, Way, attend_rows
from realtime_serve.model.bags import BAGS
from realtime_serve.model.capture import Capture, CudaGraphs
from realtime_serve.model.kv import PAGE_TOKENS, Layout, Shape, lay
from realtime_serve.model.native import NativeAttention
from realtime_serve.model.orders import Bfloats, Integers
from realtime_serve.model.static import StaticRows

log = logging.getLogger("realtime_serve.model")

TRIED = (1, 2 * PAGE_TOKENS, 300)
"""Lengths of the rows by which the kernels are tried: the last one is computed in two parts."""
CLOSE = 0.02
"""Of the difference's norm to the answer's own, for each row."""


class KernelsWrong(Exception):
    """They run, and answer otherwise than torch's."""


def pick_way(device: torch.device, longest: int, *, compiled: bool = False) -> Way:
    """Kernels made for the device where they run. longest: tokens of the longest row that can come; compiled: on a CPU too."""
    if device.type == "cuda":
        return made("Triton's kernels", lambda: triton_way(longest), device) or TORCH
    if device.type != "cpu":
        return TORCH
    return (made("operators in C++", native_way, device) if compiled else None) or BAGS


def triton_way(longest: int) -> Way:
    # Triton is not everywhere where torch is, and asks for a C compiler when it first runs.
    from realtime_serve.model.triton_decode import TritonDecode  # noqa: PLC0415

    return Way("Triton's attention", TritonDecode(longest), is_ragged=True)


def native_way() -> Way:
    own = NativeAttention()
    return Way("C++ attention", own.decode, own, is_ragged=True, layout=Layout.BY_PAGES)


def made(name: str, make: Callable[[], Way], device: torch.device) -> Way | None:
    """None where it cannot be made, or answers wrongly; a line in the log says why."""
    try:
        way = make()
        try_out(way, device)
    except Exception as error:  # noqa: BLE001  # Triton, compilers, and the driver each raise their own
        reason = f"{type(error).__name__}: {error}"
        log.warning("decoding without %s", name, extra={"fields": {"reason": reason}})
        return None
    return way


def pick_capture(device: torch.device, way: Way) -> Capture | None:
    """CUDA graphs where attention needs no copy of the pages: such a copy would be as wide as the longest row that can come."""
    return CudaGraphs() if device.type == "cuda" and way.is_ragged else None


def try_out(way: Way, device: torch.device) -> None:
    """Raises KernelsWrong, and what the kernels raise."""
    noise = torch.Generator().manual_seed(1)
    most = -(-max(TRIED) // PAGE_TOKENS)
    cached = lay(Shape(2, 64, 64), most + 1, torch.float16, device, way.layout)
    for tensor in cached:
        tensor.copy_(torch.randn(tensor.shape, generator=noise))
    queries = torch.randn(4, len(TRIED), 64, generator=noise).to(device, torch.float16)
    table = torch.arange(most, device=device, dtype=torch.int32).flip(0).repeat(len(TRIED), 1)
    rows = StaticRows(table, torch.tensor(TRIED, device=device, dtype=torch.int32), blank=most)
    found, wanted = (
        decode(rows, (queries, *cached), cached, (None, None)).float().flatten(1)
        for decode in (way.decode, attend_rows)
    )
    check_close("attention", wanted, found)
    if way.native is not None:
        weight, tokens = torch.randn(70, 300, generator=noise), torch.randn(17, 300, generator=noise)
        for order in (Integers, Bfloats):
            laid = order(way.native.calls, weight.to(order.dtype), None)
            found = laid.multiply(tokens.to(order.dtype)).float()
            check_close(f"multiplication by {laid.name}", tokens @ weight.T, found)


def check_close(name: str, wanted: torch.Tensor, found: torch.Tensor) -> None:
    """[rows, numbers] each. Raises KernelsWrong."""
    difference = float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max())
    if not difference < CLOSE:
        raise KernelsWrong(f"they differ from torch's {name} by {difference:.0%}")
