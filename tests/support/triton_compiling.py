"""Compiles the attention kernels to machine code for two kinds of GPU, which needs no GPU: a program, since Triton either interprets or compiles."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

SERVER = Path(__file__).parents[2] / "server"
CAPABILITIES = {80: {"PARTS": 1, "WINDOWED": False, "TILE": 32}, 90: {}}
"""Of the GPU, and what is otherwise there."""
NUMBERS = {
    "PART": 256, "GROUP": 4, "HEADS": 16, "SIZE": 96, "VALUE_SIZE": 96, "BLOCK": 128, "VALUE_BLOCK": 128, "PAGE": 16,
    "TILE": 64, "PARTS": 8, "PARTS_BLOCK": 8, "WINDOWED": True, "WIDE": False,
}  # fmt: skip
POINTERS = {
    "queries": "*bf16", "keys": "*bf16", "values": "*bf16", "table": "*i64", "lengths": "*i64",
    "partial": "*fp32", "levels": "*fp32", "scale": "fp32",
}  # fmt: skip


def main() -> None:
    os.environ.pop("TRITON_INTERPRET", None)
    sys.path.insert(0, str(SERVER))
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415  # reads the environment
    from triton.compiler import ASTSource, compile  # noqa: A004, PLC0415

    from realtime_serve.model.triton_kernels import attend_part, join_parts  # noqa: PLC0415

    for capability, changes in CAPABILITIES.items():
        for kernel, output in ((attend_part, "*fp32"), (join_parts, "*bf16")):
            names = kernel.arg_names
            numbers = {name: {**NUMBERS, **changes}[name] for name in names if name in NUMBERS}
            source = ASTSource(kernel, {name: type_of(name, output) for name in names}, numbers)
            compile(source, target=GPUTarget("cuda", capability, 32))
        sys.stdout.write(f"sm_{capability}\n")


def type_of(name: str, output: str) -> Any:
    kinds = {**dict.fromkeys(NUMBERS, "constexpr"), **POINTERS, "output": output}
    return kinds.get(name, "i32")


if __name__ == "__main__":
    main()
