"""The Gateway API's own definition of HTTPRoutes, from its Go module: fetched once and kept in the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from hack.cache import CACHE
from hack.kube import Kube

MODULE = "sigs.k8s.io/gateway-api"
VERSION = "v1.6.3"
SUM = "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc="
"""Go's checksum of the whole module."""
FILE = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
NAME = "httproutes.gateway.networking.k8s.io"


class CannotFetch(Exception):
    """Go is missing, the module cannot be had, or it is not the one that we know."""


def definition() -> Path:
    """The file, from the cache where it is there. Raises CannotFetch."""
    kept = CACHE / "crds" / f"httproutes-{VERSION}.yaml"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".unfinished")
        shutil.copyfile(fetch() / FILE, unfinished)
        unfinished.rename(kept)
    return kept


def fetch() -> Path:
    """The module's folder in Go's own cache."""
    if shutil.which("go") is None:
        raise CannotFetch(f"Go is needed to fetch {MODULE}, and `go` is not on PATH")
    command = ("go", "mod", "download", "-json", f"{MODULE}@{VERSION}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotFetch(f"fetching {MODULE} {VERSION} failed:\n{(done.stderr or done.stdout)[-2000:]}")
    found = json.loads(done.stdout)
    if found["Sum"] != SUM:
        raise CannotFetch(f"{MODULE} {VERSION} has the checksum {found['Sum']}, and {SUM} is expected")
    return Path(found["Dir"])


def install(kube: Kube) -> None:
    """Returns when the API server serves HTTPRoutes."""
    kube.run("apply", "--server-side", "-f", str(definition()))
    kube.await_definition(NAME)
