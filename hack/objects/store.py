"""Starts the S3 server in its own environment, which is made at the first time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.cache import CACHE

HERE = Path(__file__).resolve().parent
REGION = "us-east-1"


@dataclass(frozen=True)
class Store:
    endpoint: str
    bucket: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it needs, by the standard names."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


def interpreter() -> Path:
    """Python with moto."""
    requirements = HERE / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    place = CACHE / "objects" / digest
    python = place / "bin" / "python"
    if not (place / "whole").exists():
        uv = CACHE / "uv" / "bin" / "uv"  # hack/venv.sh made it
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, place], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", requirements], check=True)
        (place / "whole").touch()
    return python


@contextlib.contextmanager
def serving(files: Mapping[str, Path], *, bind: str = "127.0.0.1") -> Iterator[Store]:
    """Serve these files, by key, for as long as the context lasts."""
    command = [str(interpreter()), str(HERE / "serve.py"), f"--bind={bind}"]
    command += [f"{key}={file}" for key, file in files.items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("no pipe to the S3 server")
            yield Store(**json.loads(next(line for line in process.stdout if line.startswith(b"{"))))
        finally:
            process.kill()


def files_of(directory: Path, prefix: str) -> dict[str, Path]:
    """A directory's files by the keys they shall have."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {f"{prefix}/{path.relative_to(directory)}": path for path in found}
