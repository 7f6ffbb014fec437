"""What the peers need and this project does not: an environment with transformers' server, made once in the project's cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hack.cache import CACHE

ROOT = Path(__file__).resolve().parents[1]
PLACE = CACHE / "peers"


def peers_python() -> Path:
    """The interpreter of an environment with torch and transformers at our versions, and transformers' server."""
    python = PLACE / "venv/bin/python"
    if not (python.with_name("transformers")).exists():
        print("making an environment for the peers, once", file=sys.stderr, flush=True)
        uv = CACHE / "uv/bin/uv"
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, python.parents[1])
        wanted = ("torch", "transformers[serving]", "accelerate")
        _run(uv, "pip", "install", "--quiet", "--python", python, "-c", ROOT / "constraints.txt", *wanted)
    return python


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)
