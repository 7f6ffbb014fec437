"""The image that both Dockerfiles start from: the public Python image, else Debian's own packages."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hack import packages
from hack.cache import CACHE
from hack.images.engines import BuildFailed, Engine, run
from hack.images.inputs import Image

PUBLIC = "docker.io/library/python:3.11-slim-bookworm"
SUITE = "bookworm"  # its python3 is 3.11
PACKAGES = ("ca-certificates", "python3", "python3-venv")


def base_image(engine: Engine, image: Image) -> str:
    """Tag of the base, made or pulled at first. RTS_BASE_IMAGE names another one."""
    if wanted := os.environ.get("RTS_BASE_IMAGE"):
        return wanted
    name = "-".join((SUITE, *image.debian)).replace("+", "p")
    own = f"localhost/realtime-serve/base:{name}"
    for tag in (own, PUBLIC):
        if engine.has(tag):
            return tag
    if engine.pull(PUBLIC):
        return PUBLIC
    print(f"{PUBLIC} cannot be pulled; making a Debian {SUITE} base for the {image.name}", flush=True)
    archive = CACHE / "images" / f"base-{name}.tar"
    if not archive.exists():
        make_archive(archive, (*PACKAGES, *image.debian))
    engine.load_rootfs(archive, own)
    return own


def make_archive(archive: Path, included: Sequence[str]) -> None:
    packages.ensure({"debootstrap": "debootstrap"})
    if os.geteuid() != 0:
        raise BuildFailed("debootstrap makes a Debian base as root only; or name a base in RTS_BASE_IMAGE")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".base-") as directory:
        rootfs, unfinished = Path(directory) / "rootfs", Path(directory) / archive.name
        run(["debootstrap", "--variant=minbase", f"--include={','.join(included)}", SUITE, str(rootfs)])
        pack(rootfs, unfinished)
        unfinished.rename(archive)


def pack(rootfs: Path, archive: Path) -> None:
    """A tar without what only this machine has: its resolver, its name, the downloaded packages."""
    dropped = (
        "./var/cache/apt/archives/*.deb",
        "./var/lib/apt/lists/*",
        "./etc/resolv.conf",
        "./etc/hostname",
    )
    excludes = [f"--exclude={pattern}" for pattern in dropped]
    command = ["tar", "-C", str(rootfs), "--numeric-owner", *excludes, "-cf", str(archive), "."]
    if subprocess.run(command, check=False).returncode != 0:
        raise BuildFailed(f"{' '.join(command)} failed")
