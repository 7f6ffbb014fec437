"""The pods that PodMonitors select, kept in files that Prometheus reads."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hack.kube import Kube
from hack.scrapes import Monitor, describe_pods, label_selector, namespaces, scrape_pods

REFRESH_SECONDS = 1.0


class Discovery:
    """Looks for pods until it ends; a context manager."""

    def __init__(self, kube: Kube, monitors: Sequence[Monitor], folder: Path) -> None:
        self._kube = kube
        self._files = {folder / f"pods-{number}.json": monitor for number, monitor in enumerate(monitors)}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)

    def scrapes(self) -> list[dict[str, Any]]:
        """Prometheus's configuration for all monitors."""
        return [scrape for file, monitor in self._files.items() for scrape in scrape_pods(monitor, file)]

    def refresh(self) -> None:
        """Write down the pods that there are now. Raises CalledProcessError when the cluster does not answer."""
        for file, monitor in self._files.items():
            unfinished = file.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(describe_pods(self._find(monitor))))
            unfinished.rename(file)

    def __enter__(self) -> Self:
        self.refresh()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except subprocess.CalledProcessError as error:
                print(f"monitoring: the cluster does not answer: {error.stderr.strip()}", file=sys.stderr)

    def _find(self, monitor: Monitor) -> list[dict[str, Any]]:
        selector = label_selector(monitor)
        wanted = namespaces(monitor)
        if wanted:
            return [pod for name in wanted for pod in self._kube.within(name).find("pods", selector)]
        found = json.loads(self._kube.run("get", "pods", "--all-namespaces", "-o", "json", "-l", selector))
        pods: list[dict[str, Any]] = found["items"]
        return pods
