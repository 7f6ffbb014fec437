"""Prints what one extra of pyproject.toml asks for, a requirement a line. Stands alone: image builds run it too."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def read_extra(project: Path, extra: str) -> list[str]:
    extras: dict[str, list[str]] = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    if extra not in extras:
        raise ValueError(f"pyproject.toml has no extra {extra!r}; it has {', '.join(sorted(extras))}")
    return extras[extra]


if __name__ == "__main__":
    print("\n".join(read_extra(Path("pyproject.toml"), sys.argv[1])))
