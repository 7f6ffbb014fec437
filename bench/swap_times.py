"""`python -m bench.swap_times`: on the real local cluster, how long a user waits for what the operator does at once.

Three times, each measured so often: from the moment the Service selects the new fleet to the first answer of the new version;
from an edit back to a warm version to its first answer; from the edit of a live limit to the first request that it refuses.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from hack.cluster import Cluster
from hack.demo.parts import build_images
from hack.kube import Kube, Manifest
from inference_operator.names import LABEL_FLEET
from tests.support.crd import install_crd
from tests.support.models import ROLLOUT_SECONDS, current, publish, settled_on, tiny_model
from tests.support.operator_process import OperatorProcess
from tests.support.traffic import address, await_reachable

KEPT_SECONDS = 600
PATIENCE = 60.0


class Answer(NamedTuple):
    """To one completion over a connection of its own."""

    status: int
    version: str
    ended: float


def ask(url: str, tokens: int = 1) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    body = json.dumps({"model": "chat", "prompt": "one", "max_tokens": tokens, "temperature": 0})
    try:
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return Answer(answer.status, answer.headers["X-Model-Version"] or "", time.monotonic())
    finally:
        connection.close()


class Selection:
    """When the Service began to select another fleet: the arrival of the API server's news of it."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._first = kube.get("service", "chat")["spec"]["selector"][LABEL_FLEET]
        self._changed = threading.Event()
        self._at = 0.0
        self._reader = threading.Thread(target=self._watch, daemon=True)
        self._reader.start()

    def _watch(self) -> None:
        for service in self._kube.watch("service", "chat", ROLLOUT_SECONDS):
            if service["spec"]["selector"][LABEL_FLEET] != self._first:
                self._at = time.monotonic()
                self._changed.set()
                return

    def at(self) -> float:
        if not self._changed.wait(PATIENCE):
            raise TimeoutError("the Service did not select another fleet")
        return self._at


class Bench:
    """One model on the cluster, edited again and again."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.url = address(kube)
        self._version = 1

    def flip(self) -> float:
        """To a version that never was; waits until its predecessor is warm and without streams."""
        self._version += 1
        wanted = f"{self._version}.0.0"
        selection = Selection(self.kube)
        self._edit(model={"version": wanted})
        taken = self._seconds_until(selection.at, lambda answer: answer.version == wanted)
        self.kube.wait("im", "chat", warm_behind(wanted), ROLLOUT_SECONDS)
        return taken

    def warm_rollback(self) -> float:
        wanted = self.kube.get("im", "chat")["status"]["previous"]["version"]
        began = time.monotonic()
        self._edit(model={"version": wanted})
        taken = self._seconds_until(lambda: began, lambda answer: answer.version == wanted)
        self.kube.wait("im", "chat", warm_behind(wanted), ROLLOUT_SECONDS)
        return taken

    def live_limit(self) -> float:
        began = time.monotonic()
        self._edit(limits={"maxTokens": 7})
        taken = self._seconds_until(lambda: began, lambda answer: answer.status == 400, tokens=8)
        self._edit(limits={"maxTokens": 4096})
        self._seconds_until(lambda: began, lambda answer: answer.status == 200, tokens=8)
        return taken

    def _seconds_until(
        self, since: Callable[[], float], seen: Callable[[Answer], bool], tokens: int = 1
    ) -> float:
        """From a moment, known once it has come, to the end of the first answer that shows the effect."""
        deadline = time.monotonic() + PATIENCE
        while not seen(answer := ask(self.url, tokens)):
            if time.monotonic() > deadline:
                told = self.kube.run("describe", "im", "chat")
                raise TimeoutError(f"not within {PATIENCE:.0f} s; the last answer was {answer}\n{told}")
        return answer.ended - since()

    def _edit(self, **changes: object) -> None:
        self.kube.patch("im", "chat", {"spec": changes})


def warm_behind(version: str) -> Callable[[Manifest], bool]:
    """That version serves, and the one before it is kept."""

    def holds(model: Manifest) -> bool:
        status = model["status"]
        return current(model) and status["active"]["version"] == version and "previous" in status

    return holds


@contextmanager
def served() -> Iterator[Kube]:
    """A namespace of its own with a tiny model that serves, and an operator for it."""
    cluster = Cluster.up()
    publish()
    image = build_images().server
    install_crd(cluster.kube)
    namespace = f"bench-{uuid4().hex[:8]}"
    cluster.kube.run("create", "namespace", namespace)
    kube = cluster.kube.within(namespace)
    mine = ("--namespace", namespace, "--lease", "operator", "--lease-namespace", namespace)
    log = Path(tempfile.mkdtemp()) / "operator.log"
    try:
        with OperatorProcess(cluster.kubeconfig, log, *mine):
            kube.apply(tiny_model(image, rollout={"keepPreviousSeconds": KEPT_SECONDS}))
            kube.wait("im", "chat", settled_on("1.0.0"), ROLLOUT_SECONDS)
            await_reachable(address(kube))
            yield kube
    finally:
        cluster.kube.run("delete", "namespace", namespace, "--wait=false")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how often each is measured")
    times = parser.parse_args().times
    with served() as kube:
        bench = Bench(kube)
        for what, measure in (
            ("selector to first answer of the new version", bench.flip),
            ("edit to first answer of a warm version", bench.warm_rollback),
            ("edit of a live limit to the first refusal", bench.live_limit),
        ):
            taken = [measure() for _ in range(times)]
            shown = ", ".join(f"{1000 * one:.0f}" for one in taken)
            print(f"{what}: median {1000 * statistics.median(taken):.0f} ms ({shown})", flush=True)


if __name__ == "__main__":
    main()
