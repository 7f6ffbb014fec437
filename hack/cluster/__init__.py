"""A real Kubernetes on this machine, of its own: no other cluster is ever spoken to."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hack.cluster import kind, places, processes
from hack.kube import Kube

Backend = Literal["auto", "kind", "processes"]


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up. `kill`, `pause`, `resume` and `restart` exist for the processes back end."""

    backend: Literal["kind", "processes"]

    @staticmethod
    def up(gpus: int = 0, backend: Backend = "auto") -> Cluster:
        """Idempotent. Raises what the back end raises: CannotRun, PackagesMissing, CannotBuild, PartFailed."""
        chosen = choose(backend)
        places.RUN.mkdir(parents=True, exist_ok=True)
        (kind.up if chosen == "kind" else processes.up)(gpus)
        return Cluster(chosen)

    @property
    def kubeconfig(self) -> Path:
        return places.KUBECONFIG

    @property
    def host_address(self) -> str:
        """Where pods reach this machine."""
        return kind.gateway() if self.backend == "kind" else places.NODE_IP

    @property
    def logs(self) -> Path:
        """One folder with the log of every part and every container."""
        return places.LOGS

    @property
    def kube(self) -> Kube:
        return Kube(kubectl=places.BIN / "kubectl", kubeconfig=places.KUBECONFIG)

    def helm(self, *arguments: str) -> str:
        """Raises CalledProcessError, with helm's words in `stderr`."""
        command = [str(places.BIN / "helm"), "--kubeconfig", str(places.KUBECONFIG), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def kill(self, part: str) -> None:
        processes.kill(part)

    def pause(self, part: str) -> None:
        processes.pause_part(part)

    def resume(self, part: str) -> None:
        processes.resume(part)

    def restart(self, part: str) -> None:
        processes.restart(part)


def choose(backend: Backend) -> Literal["kind", "processes"]:
    """`auto`: kind where a Docker engine answers."""
    if backend != "auto":
        return backend
    return "kind" if kind.is_available() else "processes"
