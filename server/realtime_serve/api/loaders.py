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

CONFIG = "REALTIME_SERVE_MODEL_CONFIG"
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


def environment_of(config: ModelConfig) -> dict[str, str]:
    """Return what the engine's process needs to know: where it finds the same modules, and the model's own settings.

    Those may hold a secret, which a command line would show to everybody on the machine.
    """
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109  a string
    return {"PYTHONPATH": path, CONFIG: msgspec.json.encode(config).decode()}


def read_config() -> ModelConfig:
    """Read what `environment_of` wrote, and leave it for nobody after."""
    return msgspec.json.decode(os.environ.pop(CONFIG), type=ModelConfig)
