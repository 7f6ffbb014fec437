"""Debian packages: says which programs are missing, and installs them where it may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from hack.cache import alone

CLUSTER = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "socat": "socat",
    "docker-registry": "docker-registry",
    "openssl": "openssl",
    "curl": "curl",
    "gcc": "gcc",
}
IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
MONITORING = {"prometheus": "prometheus"}
REDIS = {"redis-server": "redis-server"}
BROWSER = {"chromium": "chromium"}
"""Program (on PATH, or a whole path): the package that holds it."""


class PackagesMissing(Exception):
    """Programs are missing and cannot be installed from here; the message says what to type."""


def missing(wanted: dict[str, str]) -> list[str]:
    """Packages of the programs that are not there."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted(
        {
            package
            for program, package in wanted.items()
            if not (Path(program).exists() if "/" in program else shutil.which(program, path=search))
        }
    )


def ensure(*groups: dict[str, str]) -> None:
    """Raises PackagesMissing where apt-get or root is lacking."""
    with alone("packages"):
        packages = sorted({package for group in groups for package in missing(group)})
        if packages:
            _install(packages)


def _install(packages: list[str]) -> None:
    install = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PackagesMissing(f"missing: {', '.join(packages)}. As root on Debian: {install}")
    print(f"installing Debian packages: {', '.join(packages)}", file=sys.stderr, flush=True)
    _apt(["update"])
    _apt(["install", "-y", "--no-install-recommends", *packages])


def _apt(arguments: Iterable[str]) -> None:
    # Debian starts a service when its package is installed; the registry's would take the port of ours.
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PackagesMissing(f"apt-get {' '.join(arguments)} failed:\n{done.stderr[-1500:]}")
