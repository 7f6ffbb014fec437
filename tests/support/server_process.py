"""The real server as a process of its own, with a model small enough for any machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.ports import free_port

PATIENCE = 120.0  # seconds for imports and warm-up on a busy machine; only ever used up by a failure


@dataclass
class ServerProcess:
    """`python -m realtime_serve` on 127.0.0.1; `name` is what requests call its model."""

    model: Path
    log: Path
    name: str = "chat"
    version: str = "1.0.0"
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> None:
        """Returns when it is ready."""
        self.port = free_port()
        command = [sys.executable, "-m", "realtime_serve", f"--model={self.model}", f"--port={self.port}"]
        command += [
            f"--served-name={self.name}",
            f"--model-version={self.version}",
            "--device=cpu",
            *arguments,
        ]
        with self.log.open("wb") as log:
            environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            self._await_ready(self.process)
        except BaseException:  # nobody else knows of it yet
            self.stop()
            raise

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            assert process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            self.get("/ready")
        except urllib.error.URLError:
            return False
        return True

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
