"""What the hub holds: the demo's model under its public name, and models that tests need to be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

from hack import model
from hack.cache import CACHE

ROOT = CACHE / "hub"
DEMO = "HuggingFaceTB/SmolLM2-135M-Instruct"
BROKEN = "demo/broken-weights"
BROKEN_BYTES = 1 << 20
"""The header of the weights is whole, the tensors are cut short: a load fails late, as a torn upload makes it."""


def link(directory: Path, repository: str, root: Path = ROOT) -> Path:
    """Serve a directory as ORG/REPO or ORG/REPO@REVISION. Linking again replaces what was linked."""
    place = root / repository
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    place.symlink_to(directory.resolve(), target_is_directory=True)
    return place


def truncate(directory: Path, repository: str, root: Path = ROOT, keep_bytes: int = BROKEN_BYTES) -> Path:
    """Serve a copy of a model whose weight files are cut after some bytes."""
    place = root / repository
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for file in directory.iterdir():
        if file.suffix == ".safetensors":
            with file.open("rb") as whole:
                (place / file.name).write_bytes(whole.read(keep_bytes))
        else:
            (place / file.name).symlink_to(file.resolve())
    return place


def publish() -> None:
    """Have both in the hub's directory."""
    directory = model.prepare()
    link(directory, DEMO)
    if not (ROOT / BROKEN).exists():
        truncate(directory, BROKEN)
