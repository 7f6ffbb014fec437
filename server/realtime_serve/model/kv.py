"""The memory for keys and values: sized once, from what is free."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from realtime_serve.errors import EngineFailed

MOST_SLOTS = 256
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
CGROUP_USED = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")


@dataclass(frozen=True)
class Shape:
    """Of one layer's keys: learnt from a forward, because configurations name these numbers in many ways."""

    heads: int
    key_size: int
    value_size: int


class KVCache:
    """For each layer [slots, heads, slot length, head size]. A slot holds one sequence in one piece."""

    def __init__(
        self, *, shapes: dict[int, Shape], slots: int, length: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.slots, self.length = slots, length
        # Zeros, because what a mask hides must still be finite: NaN times nothing is NaN.
        self._layers = {
            layer: (
                zeros((slots, shape.heads, length, shape.key_size), dtype, device),
                zeros((slots, shape.heads, length, shape.value_size), dtype, device),
            )
            for layer, shape in shapes.items()
        }

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of one layer."""
        return self._layers[index]

    def clean(self, slot: int) -> None:
        """Forget what a sequence that went wrong has left: it may be NaN, which would harm the next one."""
        for keys, values in self._layers.values():
            keys[slot] = 0
            values[slot] = 0


def zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """On a CPU the kernel gives the memory when it is first written, not now."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    return torch.from_numpy(np.zeros(size, dtype=np.uint8)).view(dtype).view(shape)


def bytes_per_token(shapes: dict[int, Shape], dtype: torch.dtype) -> int:
    numbers = sum(shape.heads * (shape.key_size + shape.value_size) for shape in shapes.values())
    return numbers * int(dtype.itemsize)


def count_slots(*, token_bytes: int, length: int, free: int, fraction: float) -> int:
    """Slots that fit into the share of free memory. Raises EngineFailed when not even one does."""
    slots = min(MOST_SLOTS, int(free * fraction) // (token_bytes * length))
    if slots < 1:
        need, have = token_bytes * length / 2**20, free * fraction / 2**20
        message = (
            f"one sequence of {length} tokens needs {need:.0f} MiB of KV cache, and {have:.0f} MiB are there for it; "
            "lower maxModelLength or give the pod more memory"
        )
        raise EngineFailed("OutOfMemory", message)
    return slots


def free_memory(device: torch.device) -> int:
    """Bytes that this process could still take."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    machine = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = next(
        (
            int(line.split()[1]) * 1024
            for line in Path("/proc/meminfo").read_text().splitlines()
            if line.startswith("MemAvailable")
        ),
        machine,
    )
    limit, used = _read(CGROUP_LIMITS), _read(CGROUP_USED)
    return min(available, limit - used) if limit is not None and used is not None else available


def _read(paths: tuple[str, ...]) -> int | None:
    for path in map(Path, paths):
        if path.is_file() and (text := path.read_text().strip()) != "max":
            return int(text)
    return None
