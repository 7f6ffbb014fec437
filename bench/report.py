"""Tables as Markdown in bench/results/, with the machine, the versions and the command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
from collections.abc import Sequence
from pathlib import Path

LOADED = 1.5
"""Processes that want to run, by core, above which the table says so."""
RESULTS = Path(__file__).with_name("results")


def write(name: str, title: str, about: str, table: list[str], arguments: Sequence[str] = ()) -> None:
    """The arguments are those of a part of the table, where not all of it was measured."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text("\n".join([f"# {title}", "", about, "", machine(name, arguments), "", *table, ""]))
    print(f"wrote {path}")


def machine(name: str, arguments: Sequence[str] = ()) -> str:
    command = f"python -m bench.{name} {shlex.join(arguments)}" if arguments else f"make bench TABLES={name}"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    if os.getloadavg()[1] > LOADED * (os.cpu_count() or 1):
        load += " (a loaded machine: other work ran beside it)"
    return (
        f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}; "
        f"load averages at the end {load}. Command: `{command}`."
    )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
