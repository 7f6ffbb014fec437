"""The two programs that can build images: docker where its engine answers, else buildah."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hack import packages
from hack.cache import CACHE
from hack.images.inputs import ROOT

SECRETS = {
    "pip.conf": Path("/etc/pip.conf"),
    "ca-certificates.crt": Path("/etc/ssl/certs/ca-certificates.crt"),
}
"""What a build may see of this machine to reach its package index; no layer keeps it."""


class BuildFailed(Exception):
    """The engine ended with an error, which it printed."""


@dataclass(frozen=True)
class Build:
    dockerfile: Path
    tag: str
    arguments: Mapping[str, str]
    stage: str | None = None


class Engine(Protocol):
    def has(self, tag: str) -> bool: ...
    def pull(self, tag: str) -> bool: ...
    def build(self, build: Build) -> None: ...
    def load_rootfs(self, archive: Path, tag: str) -> None: ...
    def push(self, tag: str) -> None: ...
    def list(self) -> list[str]: ...
    def remove(self, tag: str) -> None: ...


class Docker:
    def has(self, tag: str) -> bool:
        return succeeds(["docker", "image", "inspect", tag])

    def pull(self, tag: str) -> bool:
        return succeeds(["docker", "pull", "--quiet", tag])

    def build(self, build: Build) -> None:
        buildkit = {"DOCKER_BUILDKIT": "1"}  # knows build secrets; engines before 23 do not use it unasked
        run(["docker", "build", "--network", "host", *build_options(build), str(ROOT)], buildkit)

    def load_rootfs(self, archive: Path, tag: str) -> None:
        run(["docker", "import", str(archive), tag])

    def push(self, tag: str) -> None:
        run(["docker", "push", "--quiet", tag])

    def list(self) -> list[str]:
        return run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]).split()

    def remove(self, tag: str) -> None:
        run(["docker", "rmi", "--force", tag])


class Buildah:
    def __init__(self) -> None:
        images = CACHE / "images"
        self._command = ["buildah", "--root", str(images / "storage"), "--runroot", str(images / "run")]

    def has(self, tag: str) -> bool:
        return succeeds([*self._command, "inspect", "--type", "image", tag])

    def pull(self, tag: str) -> bool:
        return succeeds([*self._command, "pull", "--quiet", tag])

    def build(self, build: Build) -> None:
        run([*self._command, "rm", "--all"])  # a build that was killed leaves a container of gigabytes
        here = ["--pull-never", "--network", "host", "--isolation", "chroot", "--format", "oci"]
        run([*self._command, "bud", *here, *build_options(build), str(ROOT)])

    def load_rootfs(self, archive: Path, tag: str) -> None:
        dockerfile = archive.with_suffix(".Dockerfile")
        dockerfile.write_text(f"FROM scratch\nADD {archive.name} /\n")
        run([*self._command, "bud", "--pull-never", "-f", str(dockerfile), "-t", tag, str(archive.parent)])

    def push(self, tag: str) -> None:
        # zstd at its fastest packs 5 GB of torch in half the time of gzip, and smaller.
        packing = ["--compression-format", "zstd", "--compression-level", "1"]
        run([*self._command, "push", "--tls-verify=false", "--quiet", *packing, tag, f"docker://{tag}"])

    def list(self) -> list[str]:
        return run([*self._command, "images", "--format", "{{.Name}}:{{.Tag}}"]).split()

    def remove(self, tag: str) -> None:
        run([*self._command, "rmi", "--force", tag])


def find_engine() -> Engine:
    """Raises PackagesMissing where neither can be had."""
    if shutil.which("docker") and succeeds(["docker", "version"]):
        return Docker()
    packages.ensure(packages.IMAGES)
    return Buildah()


def build_options(build: Build) -> list[str]:
    arguments = [f"{name}={value}" for name, value in build.arguments.items()]
    secrets = [f"id={name},src={path}" for name, path in SECRETS.items() if path.is_file()]
    stage = ["--target", build.stage] if build.stage else []
    return [
        *("-f", str(build.dockerfile), "-t", build.tag, *stage),
        *(option for argument in arguments for option in ("--build-arg", argument)),
        *(option for secret in secrets for option in ("--secret", secret)),
    ]


def succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What it printed. A failure shows that."""
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if result.returncode != 0:
        print(result.stdout, file=sys.stderr)
        raise BuildFailed(f"{' '.join(command)} ended with code {result.returncode}")
    return result.stdout
