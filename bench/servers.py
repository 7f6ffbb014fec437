"""The servers that are measured over HTTP, each a process of its own on this machine, with what it cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.peers import peers_python
from hack.ports import free_port

PATIENCE = 300.0
BATCH = 128
PAGES, PAGE = 1024, 32
"""Of transformers' cache, and the tokens of one. Left to itself it takes more memory than there is."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    model: str
    """What requests call the model."""
    process: psutil.Process
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that every request has besides those of all servers."""
    restless: bool = False
    """It takes processor time with nothing to do, and is stopped while others are measured."""

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Now is its turn."""
        if self.restless:
            for one in self._family():
                one.resume()
        yield
        if self.restless:
            for one in self._family():
                one.suspend()

    def cpu(self) -> float:
        """Processor seconds until now, children included."""
        times = [one.cpu_times() for one in self._family()]
        return float(sum(one.user + one.system for one in times))

    def memory(self) -> float:
        """MiB that are its own."""
        return float(sum(one.memory_full_info().uss for one in self._family())) / 2**20

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def ours(directory: Path, compiled: str = "on") -> Iterator[Server]:
    """This server, as a user starts it, with room for as many requests as are sent."""
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as settings:
        settings.write(f'{{"batching": {{"maxBatchSize": {BATCH}}}}}')
        settings.flush()
        command = [sys.executable, "-m", "realtime_serve", f"--model={directory}", "--served-name=model"]
        command += [
            f"--port={port}",
            "--dtype=bfloat16",
            f"--compile={compiled}",
            f"--settings={settings.name}",
            "--log-level=warning",
        ]
        command += ["--max-model-length=1024"]
        with running(command, port, "/ready") as process:
            name = "realtime-serve" if compiled == "on" else "realtime-serve, --compile off"
            yield Server(name, f"http://127.0.0.1:{port}", "model", process)


@contextmanager
def transformers_serve(directory: Path) -> Iterator[Server]:
    """Transformers' own server with its continuous batching."""
    port = free_port()
    command = [str(peers_python().with_name("transformers")), "serve", str(directory), "--device=cpu"]
    command += ["--dtype=bfloat16", "--continuous-batching", f"--port={port}", f"--cb-num-blocks={PAGES}"]
    command += [f"--cb-block-size={PAGE}"]
    with running(command, port, "/health") as process:
        yield Server("transformers serve", f"http://127.0.0.1:{port}", str(directory), process)


@contextmanager
def running(command: list[str], port: int, health: str) -> Iterator[psutil.Process]:
    """The process of the command, once this path of its port answers. Raises SystemExit with its last words."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        process = psutil.Process(started.pid)
        try:
            _await_health(f"http://127.0.0.1:{port}{health}", started)
            yield process
        except _NotUp:
            log.seek(0)
            raise SystemExit(f"{' '.join(command)}:\n{log.read().decode()[-3000:]}") from None
        finally:
            _end(process)


def _end(process: psutil.Process) -> None:
    """With all that it has started: some servers leave that behind."""
    family = [process]
    with suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
        for one in family:
            one.resume()
        process.terminate()
        psutil.wait_procs([process], timeout=10)
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family)


class _NotUp(Exception):
    """It ended, or is not there in time."""


def _await_health(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise _NotUp
