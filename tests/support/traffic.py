"""Live streams against a model, judged one by one: the oracle of every swap."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Self

from hack.kube import Kube


def address(kube: Kube, service: str = "chat") -> str:
    """The Service's address, which this machine reaches as pods do."""
    return f"http://{kube.get('service', service)['spec']['clusterIP']}"


def await_reachable(url: str, seconds: float = 30) -> None:
    """Until the Service answers: kube-proxy writes a new Service's rules up to a second after its endpoints are there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
        except urllib.error.URLError:
            assert time.monotonic() < deadline, f"{url} did not answer within {seconds} s"
            time.sleep(0.1)
        else:
            return


class LiveStreams:
    """Keeps so many streams open until told to stop; a stream that ends is followed by another."""

    def __init__(
        self, url: str, result: Path, *, concurrency: int = 16, tokens: int = 1000, keep_alive: bool = False
    ) -> None:
        await_reachable(url)
        self._result = result
        self._changed = threading.Condition()
        self._started: list[str] = []
        load: tuple[str, ...] = (
            "--duration",
            "0",
            "--concurrency",
            str(concurrency),
            "--tokens",
            str(tokens),
        )
        load += ("--keep-alive",) if keep_alive else ()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hack.streams", "--url", url, *load, "--json", str(result)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.await_started(concurrency)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def await_started(self, number: int, version: str | None = None, seconds: float = 120) -> None:
        """Until so many streams (of that version) have had a first token."""

        def enough() -> bool:
            return sum(version in {None, one} for one in self._started) >= number

        with self._changed:
            assert self._changed.wait_for(enough, seconds), (
                f"of {number} streams {version or ''} wanted: {dict(Counter(self._started))} started"
            )

    def stop(self, seconds: float = 300) -> dict[str, Any]:
        """Open no more, let the running ones end, and give the verdicts."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(seconds)
        self._reader.join()
        summary: dict[str, Any] = json.loads(self._result.read_text())
        return summary

    def _read(self) -> None:
        for line in self._process.stdout or ():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "started":
                with self._changed:
                    self._started.append(event["version"])
                    self._changed.notify_all()


def harmed(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The streams that were not whole, with the reason of each."""
    return [stream for stream in summary["streams"] if stream["verdict"] != "whole"]
