"""Prints what extras of pyproject.toml ask for, a requirement a line. Stands alone: image builds run it too."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path


def read_extras(project: Path, names: Iterable[str]) -> list[str]:
    return [requirement for name in names for requirement in read_extra(project, name)]


def read_extra(project: Path, extra: str) -> list[str]:
    extras: dict[str, list[str]] = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    if extra not in extras:
        raise ValueError(f"pyproject.toml has no extra {extra!r}; it has {', '.join(sorted(extras))}")
    return extras[extra]


if __name__ == "__main__":
    print("\n".join(read_extras(Path("pyproject.toml"), sys.argv[1:])))
