"""What a decode step cannot be faster than on this machine: it reads every weight and every key and value that it looks at."""

from __future__ import annotations

import time

import torch

from realtime_serve.model.packing import PackedLinear

COPIED = 1 << 28
"""Bytes: far more than any cache holds."""
COPIES = 5


def read_bandwidth(device: torch.device) -> float:
    """Bytes a second: the best of a few sums over memory that no cache holds."""
    memory = torch.ones(COPIED // 4, dtype=torch.float32, device=device)
    best = min(_seconds_to_read(memory) for _ in range(COPIES))
    return float(memory.numel() * memory.itemsize / best)


def _seconds_to_read(memory: torch.Tensor) -> float:
    begin = time.perf_counter()
    memory.sum().item()
    return time.perf_counter() - begin


def step_bytes(model: torch.nn.Module) -> int:
    """Weights that every step reads: all but those of tables in which a token looks up one row."""
    weights = {
        id(parameter): parameter.numel() * parameter.itemsize
        for module in model.modules()
        if not isinstance(module, torch.nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    packed = sum(module.order.nbytes for module in model.modules() if isinstance(module, PackedLinear))
    return int(packed + sum(weights.values()))


def packed_in(model: torch.nn.Module) -> str:
    """In what its packed layers lie and multiply; empty: no layer is packed."""
    return next((module.order.name for module in model.modules() if isinstance(module, PackedLinear)), "")
