"""Which way decode steps go on a device."""

from __future__ import annotations

import logging

import torch

from realtime_serve.model.attention import TORCH, Decode, Way, attend_rows
from realtime_serve.model.bags import BAGS
from realtime_serve.model.capture import Capture, CudaGraphs
from realtime_serve.model.kv import PAGE_TOKENS
from realtime_serve.model.static import StaticRows

log = logging.getLogger("realtime_serve.model")

TRIED = (1, 2 * PAGE_TOKENS, 300)
"""Lengths of the rows by which the kernels are tried: the last one is computed in two parts."""
CLOSE = 0.02
"""Of the difference's norm to the answer's own, for each row."""


class KernelsWrong(Exception):
    """They run, and answer otherwise than torch's attention."""


def pick_way(device: torch.device, longest: int) -> Way:
    """Triton's kernels on a GPU where they run. longest: tokens of the longest row that can come."""
    if device.type == "cpu":
        return BAGS
    if device.type != "cuda":
        return TORCH
    try:
        # Triton is not everywhere where torch is, and asks for a C compiler when it first runs.
        from realtime_serve.model.triton_decode import TritonDecode  # noqa: PLC0415

        decode = TritonDecode(longest)
        try_out(decode, device)
    except Exception as error:  # noqa: BLE001  # Triton, the compilers that it calls, and the driver each raise their own
        reason = f"{type(error).__name__}: {error}"
        log.warning("decoding without Triton's kernels", extra={"fields": {"reason": reason}})
        return TORCH
    return Way("Triton's attention", decode, is_ragged=True)


def pick_capture(device: torch.device, way: Way) -> Capture | None:
    """CUDA graphs where attention needs no copy of the pages: such a copy would be as wide as the longest row that can come."""
    return CudaGraphs() if device.type == "cuda" and way.is_ragged else None


def try_out(decode: Decode, device: torch.device) -> None:
    """Raises KernelsWrong, and what the kernels raise."""
    noise = torch.Generator().manual_seed(1)
    most = -(-max(TRIED) // PAGE_TOKENS)
    keys, values, queries = (
        torch.randn(shape, generator=noise).to(device, torch.float16)
        for shape in ((2, most + 1, PAGE_TOKENS, 64),) * 2 + ((4, len(TRIED), 64),)
    )
    table = torch.arange(most, device=device).flip(0).repeat(len(TRIED), 1)
    rows = StaticRows(table, torch.tensor(TRIED, device=device), blank=most)
    found, wanted = (
        way(rows, (queries, keys, values), (keys, values), (None, None)).float().flatten(1)
        for way in (decode, attend_rows)
    )
    difference = float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max())
    if not difference < CLOSE:
        raise KernelsWrong(f"they differ from torch's attention by {difference:.0%}")
