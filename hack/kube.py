"""kubectl as Python: objects in and out, and waiting by watch rather than by sleep."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

Manifest = dict[str, Any]


class NeverCame(Exception):
    """What was waited for did not happen in time; the message holds the last state seen."""


@dataclass(frozen=True)
class Kube:
    """kubectl bound to one kubeconfig and one namespace."""

    kubectl: Path
    kubeconfig: Path
    namespace: str = "default"

    def within(self, namespace: str) -> Kube:
        return Kube(kubectl=self.kubectl, kubeconfig=self.kubeconfig, namespace=namespace)

    def run(self, *args: str, stdin: str | None = None) -> str:
        """Standard output. Raises CalledProcessError, with kubectl's message in `stderr` and in its notes."""
        try:
            done = subprocess.run(
                self._command(*args),
                input=stdin,
                capture_output=True,
                text=True,
                check=True,
                env=self._environment(),
            )
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr)
            raise
        return done.stdout

    def get(self, kind: str, name: str) -> Manifest:
        return self._object(self.run("get", kind, name, "-o", "json"))

    def find(self, kind: str, selector: str = "") -> list[Manifest]:
        found = self._object(self.run("get", kind, "-o", "json", *(["-l", selector] if selector else [])))
        items: list[Manifest] = found["items"]
        return items

    def apply(self, *manifests: Manifest) -> None:
        self.run("apply", "-f", "-", stdin="\n".join(json.dumps(manifest) for manifest in manifests))

    def patch(self, kind: str, name: str, change: Manifest) -> None:
        self.run("patch", kind, name, "--type=merge", "-p", json.dumps(change))

    def wait(
        self, kind: str, name: str, until: Callable[[Manifest], object], seconds: float = 120
    ) -> Manifest:
        """The first state of the object for which `until` is true. Raises NeverCame."""
        last: Manifest = {}
        for last in self.watch(kind, name, seconds):
            if until(last):
                return last
        message = f"{kind}/{name} in {self.namespace}: not within {seconds:.0f} s; last seen: {json.dumps(last.get('status', last))}"
        raise NeverCame(message)

    def await_definition(self, name: str) -> None:
        """Until resources of a definition are served. kubectl's own wait fails on one so new that it has no conditions."""
        self.wait("crd", name, is_established, 60)

    def watch(self, kind: str, name: str, seconds: float) -> Iterator[Manifest]:
        """Each state of one object as it comes, for at most `seconds`."""
        selector = f"--field-selector=metadata.name={name}"
        with self._stream("get", kind, selector, "-o", "json", "--watch", seconds=seconds) as output:
            yield from read_objects(output)

    @contextmanager
    def _stream(self, *args: str, seconds: float) -> Iterator[IO[str]]:
        process = subprocess.Popen(
            self._command(*args), stdout=subprocess.PIPE, text=True, env=self._environment()
        )
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            if process.stdout is None:
                raise RuntimeError("kubectl was started without a pipe")
            yield process.stdout
        finally:
            timer.cancel()
            process.kill()
            process.wait()

    def _command(self, *args: str) -> list[str]:
        return [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *args]

    def _environment(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}

    @staticmethod
    def _object(text: str) -> Manifest:
        parsed: Manifest = json.loads(text)
        return parsed


def is_established(definition: Manifest) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def read_objects(stream: IO[str]) -> Iterator[Manifest]:
    """The JSON objects of a stream in which each begins and ends at the left margin, as kubectl prints them."""
    lines: list[str] = []
    for line in stream:
        lines.append(line)
        if line.rstrip("\n") == "}":
            yield json.loads("".join(lines))
            lines.clear()
