"""What the peers need and this project does not: an environment with their packages, made once in the project's cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hack.cache import CACHE, alone

ROOT = Path(__file__).resolve().parents[1]
PLACE = CACHE / "peers"
UV = CACHE / "uv/bin/uv"
PACKAGES = (
    "torch",
    "transformers[serving]",
    "accelerate",
    "litserve==0.2.19",
    "sentencepiece==0.2.3",
)
"""Those without a version here have ours, of constraints.txt. sentencepiece is for llama.cpp's converter."""


def peers_python() -> Path:
    """The interpreter of an environment with torch and transformers at our versions, and the peers' packages."""
    python = PLACE / "venv/bin/python"
    made = PLACE / "venv/packages"
    wanted = "\n".join([*PACKAGES, (ROOT / "constraints.txt").read_text()])
    with alone("peers"):
        if not made.exists() or made.read_text() != wanted:
            print("making an environment for the peers, once", file=sys.stderr, flush=True)
            if not python.exists():
                run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, python.parents[1])
            run(
                UV, "pip", "install", "--quiet", "--python", python, "-c", ROOT / "constraints.txt", *PACKAGES
            )
            made.write_text(wanted)
    return python


def run(*command: object) -> None:
    """Raises SystemExit with its last words."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")
