"""Loaders of models of one's own. They run in the engine's process, so they travel there by name."""

from __future__ import annotations

import importlib
import operator
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from realtime_serve.api.configs import ModelConfig

Loader = Callable[[ModelConfig], Any]
"""Returns a `LogitsModel` or a `TokenModel`."""

NOT_MAIN = "__realtime_serve_loader__"  # so that the script's `if __name__ == "__main__"` does not run again


def reference_of(loader: Loader) -> str:
    """Return where the loader is found: MODULE:NAME, or FILE:NAME for the script that was started.

    Raises:
        ValueError: another process could not find it there.

    """
    module, name = getattr(loader, "__module__", None), getattr(loader, "__qualname__", "")
    if not module or not name or "<" in name:
        raise ValueError(
            f"loader: {loader!r}; allowed is a function or class at the top level of a module, because "
            "the engine's process imports it"
        )
    if module != "__main__":
        return f"{module}:{name}"
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        raise ValueError("loader: it stands in no file; put it into a module")
    return f"{Path(file).resolve()}:{name}"


def find_loader(reference: str) -> Loader:
    """Return the loader that a reference leads to; whatever its module raises goes through."""
    place, _, name = reference.rpartition(":")
    if place.endswith(".py"):
        found: Any = SimpleNamespace(**runpy.run_path(place, run_name=NOT_MAIN))
    else:
        found = importlib.import_module(place)
    loader: Loader = operator.attrgetter(name)(found)
    return loader


def flags(reference: str, config: ModelConfig) -> list[str]:
    """Return what the engine's process is told."""
    return ["--loader", reference, "--config", msgspec.json.encode(config).decode()]


def search_path() -> dict[str, str]:
    """Return the environment in which the engine's process finds the same modules."""
    return {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}  # noqa: PTH109  a string


def read_config(text: str) -> ModelConfig:
    """Read what `flags` wrote."""
    return msgspec.json.decode(text, type=ModelConfig)
