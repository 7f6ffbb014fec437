"""What the peers need and this project does not: an environment with transformers' server, and llama.cpp built from source.

Both are made once, in the project's cache, from the package index.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

from hack.cache import CACHE

ROOT = Path(__file__).resolve().parents[1]
PLACE = CACHE / "peers"
LLAMA = "llama-cpp-python==0.3.36"
"""Carries llama.cpp's source."""
OFF = ("BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_UI", "USE_PREBUILT_UI", "OPENSSL", "BUILD_APP", "CURL")


def peers_python() -> Path:
    """The interpreter of an environment with torch and transformers at our versions, and transformers' server."""
    python = PLACE / "venv/bin/python"
    if not (python.with_name("transformers")).exists():
        print("making an environment for the peers, once", file=sys.stderr, flush=True)
        uv = CACHE / "uv/bin/uv"
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, python.parents[1])
        wanted = ("torch", "transformers[serving]", "accelerate", "cmake", "ninja", "pip")
        _run(uv, "pip", "install", "--quiet", "--python", python, "-c", ROOT / "constraints.txt", *wanted)
    return python


def llama_server() -> Path:
    """llama.cpp's server for this machine's processor; the first time it is compiled, which takes some ten minutes."""
    server = PLACE / "llama/build/bin/llama-server"
    if not server.exists():
        print("building llama.cpp, once", file=sys.stderr, flush=True)
        source = _source()
        tools = peers_python().parent
        options = [f"-DLLAMA_{name}=OFF" for name in OFF]
        _run(
            tools / "cmake",
            "-S",
            source,
            "-B",
            PLACE / "llama/build",
            "-GNinja",
            f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}",
            "-DCMAKE_BUILD_TYPE=Release",
            "-DGGML_NATIVE=ON",
            *options,
        )
        _run(tools / "ninja", "-C", PLACE / "llama/build", "llama-server")
    return server


def _source() -> Path:
    place = PLACE / "llama/source"
    place.mkdir(parents=True, exist_ok=True)
    _run(
        peers_python(),
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary=:all:",
        "--no-build-isolation",
        "-d",
        place,
        LLAMA,
    )
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(place, filter="data")
    (found,) = place.glob("*/vendor/llama.cpp")
    return found


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)
