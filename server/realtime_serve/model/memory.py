"""How much memory this process could still take: of the device, or of what the machine and the container's limit leave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where one version of cgroups tells a container's memory, and what it calls the kinds of it."""

    limit: str
    used: str
    kinds: str
    cached: tuple[str, str]
    mapped: str


CGROUPS: Final = (
    Accounts("memory.max", "memory.current", "memory.stat", ("inactive_file", "active_file"), "file_mapped"),
    Accounts(
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        ("total_inactive_file", "total_active_file"),
        "total_mapped_file",
    ),
)
"""Version 2, then version 1."""
ROOT: Final = Path("/sys/fs/cgroup")
MACHINE: Final = Path("/proc/meminfo")


def free_memory(device: torch.device) -> int:
    """Bytes that this process could still take."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    available = _numbers(MACHINE)["MemAvailable:"] * 1024
    left = left_in_container(ROOT)
    return available if left is None else min(available, left)


def left_in_container(root: Path) -> int | None:
    """Bytes up to the container's limit; None where there is no limit.

    Files that were read count as used there, and are given back as soon as memory is asked for: weights that were just read
    would otherwise fill the limit by themselves. Those that are mapped (the libraries that run) are not given back.
    """
    for cgroup in CGROUPS:
        limit = root / cgroup.limit
        if limit.is_file() and (text := limit.read_text().strip()) != "max":
            told = root / cgroup.kinds
            kinds = _numbers(told) if told.is_file() else {}  # sandboxes that imitate cgroups do without
            cached = sum(kinds.get(kind, 0) for kind in cgroup.cached) - kinds.get(cgroup.mapped, 0)
            return int(text) - int((root / cgroup.used).read_text()) + max(0, cached)
    return None


def _numbers(path: Path) -> dict[str, int]:
    """The lines `name number ...` of a file of the kernel."""
    return {name: int(rest[0]) for name, *rest in map(str.split, path.read_text().splitlines())}
