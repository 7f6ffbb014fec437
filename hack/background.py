"""A program that runs on after the command that started it: its pid file, its log, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cache import RUN

START_SECONDS = 30.0
STOP_SECONDS = 5.0
ROOT = Path(__file__).resolve().parent.parent


class DidNotStart(Exception):
    """The program ended, or did not answer in time; the message ends with the tail of its log."""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  # our own http:// addresses
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def started_at(pid: int) -> str:
    """The kernel's start time of a process, so that a reused pid is not taken for ours; empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, start = fields[0], fields[19]
    return "" if state == "Z" else start


@dataclass(frozen=True)
class Background:
    name: str
    command: Sequence[str]
    url: str
    """Answers 200 when the program is up."""

    @property
    def pid_file(self) -> Path:
        return RUN / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return RUN / "logs" / f"{self.name}.log"

    def pid(self) -> int | None:
        """The running process that an earlier start left, if any."""
        if not self.pid_file.exists():
            return None
        record = json.loads(self.pid_file.read_text())
        return int(record["pid"]) if record["started"] == started_at(record["pid"]) else None

    def recorded_url(self) -> str:
        """Where the running process answers, which an earlier start may have chosen otherwise."""
        return str(self._record()["url"])

    def start(self) -> bool:
        """Have it running with this very command. False when it already was."""
        if self.pid() is not None:
            if self._record()["command"] == list(self.command) and answers(self.url):
                return False
            self.stop()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        record = {
            "pid": process.pid,
            "started": started_at(process.pid),
            "command": list(self.command),
            "url": self.url,
        }
        self.pid_file.write_text(json.dumps(record))
        self._await_answer(process)
        return True

    def stop(self) -> bool:
        """End it, by force after some seconds. False when it did not run."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.pid() == pid:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
        self.pid_file.unlink(missing_ok=True)
        return pid is not None

    def _record(self) -> dict[str, object]:
        record: dict[str, object] = json.loads(self.pid_file.read_text())
        return record

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.url):
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                what = f"ended with code {process.returncode}" if ended else f"did not answer at {self.url}"
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
                raise DidNotStart(f"{self.name} {what}; the end of {self.log}:\n{tail}")
            time.sleep(0.05)
