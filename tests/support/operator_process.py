"""The real operator as a process of its own, outside the cluster."""

import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from hack.ports import free_port


class OperatorProcess:
    """`python -m inference_operator run` with its output in a file."""

    def __init__(self, kubeconfig: Path, log: Path, *options: str) -> None:
        self.log = log
        self.listens = threading.Event()
        self.leads = threading.Event()
        self._port = free_port()
        command = [sys.executable, "-m", "inference_operator", "run", "--kubeconfig", str(kubeconfig)]
        self.process = subprocess.Popen(
            [*command, "--http-port", str(self._port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self._reader.join()
        self.process.communicate()  # waits for it, and closes its output

    def wait_until_leading(self, seconds: float = 60) -> None:
        assert self.leads.wait(seconds), self.log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        assert self.listens.wait(60), self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self) -> dict[str, object]:
        health: dict[str, object] = json.loads(self.get("/healthz")[1])
        return health

    def terminate(self, seconds: float = 30) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def _read(self) -> None:
        with self.log.open("w") as log:
            for line in self.process.stdout or ():
                log.write(line)
                log.flush()
                if "http listens on port" in line:
                    self.listens.set()
                if "leads: it holds the lease" in line:
                    self.leads.set()
