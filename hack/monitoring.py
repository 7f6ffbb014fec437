"""A real Prometheus process over given targets or over the pods of a cluster; `python -m hack.monitoring` runs one here."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import yaml

from hack import binaries, chart, packages
from hack.cache import RUN
from hack.discovery import Discovery
from hack.kube import Kube
from hack.ports import free_port
from hack.scrapes import Target, scrape_target

BOOT_SECONDS = 30.0


class PrometheusFailedError(Exception):
    """Prometheus ended or refused; the message is its own."""


@dataclass(frozen=True)
class Sample:
    labels: Mapping[str, str]
    value: float


class Pods(Protocol):
    """Whoever finds pods and says how to scrape them; see hack.discovery."""

    def scrapes(self) -> list[dict[str, Any]]: ...


class Prometheus:
    """A Prometheus process on 127.0.0.1 and the folder of its data; a context manager that ends the process."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "prometheus.log"

    def start(
        self,
        *,
        targets: Sequence[Target] = (),
        pods: Pods | None = None,
        rules: Sequence[Path] = (),
        scrape_interval: str = "1s",
    ) -> Self:
        """Run until `stop`; ready when this returns.

        Raises:
            PackagesMissing: it is not installed, and cannot be from here.
            PrometheusFailedError: it ended, or was not ready in time.
        """
        scrapes = [scrape_target(target, number) for number, target in enumerate(targets)]
        scrapes += pods.scrapes() if pods else []
        every = {
            "scrape_interval": scrape_interval,
            "scrape_timeout": scrape_interval,
            "evaluation_interval": "1s",
        }
        configuration = {
            "global": every,
            "rule_files": [str(path) for path in rules],
            "scrape_configs": scrapes,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
        self._spawn()
        self._wait_ready()
        return self

    def query(self, expr: str) -> list[Sample]:
        """The instant vector that an expression gives now. Raises PrometheusFailedError when it is refused."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own http://127.0.0.1
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusFailedError(f"{expr}: {json.load(error)['error']}") from error
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(row["metric"], float(row["value"][1])) for row in data["result"]]

    def wait_for(self, expr: str, *, seconds: float = 30.0) -> list[Sample]:
        """The first answer of an expression that has series, all of them numbers."""
        deadline = time.monotonic() + seconds
        while True:
            samples = self.query(expr)
            if samples and not any(math.isnan(sample.value) for sample in samples):
                return samples
            if time.monotonic() > deadline:
                raise TimeoutError(f"no value in {seconds:g} s for {expr}; last answer: {samples}")
            time.sleep(0.2)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self) -> None:
        packages.ensure(packages.MONITORING)
        command = (
            "prometheus",
            f"--config.file={self.folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while not self._is_ready():
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                raise PrometheusFailedError(f"prometheus did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):  # noqa: S310  # our own http://127.0.0.1
                return True
        except OSError:
            return False


@contextmanager
def watch_cluster(
    kube: Kube, *, namespace: str = "realtime-serve", port: int | None = None, scrape_interval: str = "1s"
) -> Iterator[Prometheus]:
    """Prometheus over the operator and all model pods, found and labelled as by the chart's PodMonitors.

    `namespace` is that of the release, which is called `realtime-serve`.
    """
    monitors = chart.find(chart.render(chart.MONITORED, namespace=namespace), "PodMonitor")
    with (
        tempfile.TemporaryDirectory(prefix="prometheus-") as folder,
        Discovery(kube, monitors, Path(folder)) as pods,
        Prometheus(Path(folder), port=port) as prometheus,
    ):
        yield prometheus.start(pods=pods, scrape_interval=scrape_interval)


def main() -> int:
    """Scrape the local cluster as its PodMonitors would, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m hack.monitoring", description=__doc__)
    parser.add_argument(
        "--kubeconfig", type=Path, default=RUN / "kubeconfig", help="cluster whose pods to scrape"
    )
    parser.add_argument("--namespace", default="realtime-serve", help="namespace of the operator's release")
    parser.add_argument("--port", type=int, default=9090, help="port on 127.0.0.1 for Prometheus's own page")
    options = parser.parse_args()
    if not options.kubeconfig.is_file():
        print(f"no cluster: {options.kubeconfig} is missing; run 'make cluster-up'", file=sys.stderr)
        return 1
    kube = Kube(kubectl=binaries.ensure("kubernetes") / "kubectl", kubeconfig=options.kubeconfig)
    with watch_cluster(
        kube, namespace=options.namespace, port=options.port, scrape_interval="5s"
    ) as prometheus:
        print(f"Prometheus at {prometheus.url}; Ctrl-C ends it", flush=True)
        return wait(prometheus)


def wait(prometheus: Prometheus) -> int:
    try:
        return prometheus.process.wait() if prometheus.process else 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
