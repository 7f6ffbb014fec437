"""Programs built from their Go modules, once: kept in the cache under a hash of all that goes into them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hack.cache import CACHE, alone

TOOLS = Path(__file__).resolve().parent / "tools"
BIN = CACHE / "bin"
KUBERNETES = "v1.36.4"
VERSION_KEYS = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"


class CannotBuild(Exception):
    """Go is missing, or a build failed; the message says which and ends with the compiler's words."""


@dataclass(frozen=True)
class Family:
    """One folder of hack/tools: a go.mod, and the programs that come of it."""

    name: str
    package: str
    programs: tuple[str, ...]
    tags: str = ""
    ldflags: str = "-s -w"

    @property
    def folder(self) -> Path:
        return TOOLS / self.name


def kubernetes_ldflags() -> str:
    """Unset, Kubernetes calls itself v0.0.0-master and helm refuses charts with a kubeVersion."""
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    settings = [f"-X {package}.{key}={value}" for package in VERSION_KEYS for key, value in values.items()]
    return " ".join(["-s", "-w", *settings])


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="kubernetes",
            package=".",
            programs=(
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            ),
            tags="notest,grpcnotrace",
            ldflags=kubernetes_ldflags(),
        ),
        Family(name="etcd", package="go.etcd.io/etcd/server/v3", programs=("etcd",)),
        Family(name="coredns", package="github.com/coredns/coredns", programs=("coredns",)),
        Family(name="helm", package="helm.sh/helm/v4/cmd/helm", programs=("helm",)),
        Family(name="kind", package="sigs.k8s.io/kind", programs=("kind",)),
    )
}


def digest(family: Family) -> str:
    """Changes when anything changes that the binary is made from."""
    inputs = hashlib.sha256(f"{family.package} {family.tags} {family.ldflags}".encode())
    for path in sorted(family.folder.iterdir()):
        inputs.update(path.name.encode() + path.read_bytes())
    return inputs.hexdigest()[:16]


def command(family: Family, output: Path) -> list[str]:
    tags = ["-tags", family.tags] if family.tags else []
    flags = ["-p", str(os.cpu_count() or 1), "-trimpath", *tags, "-ldflags", family.ldflags]
    return ["go", "build", *flags, "-o", str(output), family.package]


def ensure(*names: str) -> Path:
    """Have the programs of these families in `BIN`; builds only what the cache lacks. Raises CannotBuild."""
    BIN.mkdir(parents=True, exist_ok=True)
    for family in (FAMILIES[name] for name in names):
        built = CACHE / "built" / f"{family.name}-{digest(family)}"
        with alone(family.name):
            if not built.exists():
                build(family, built)
            for program in family.programs:
                link(BIN / program, built)
    return BIN


def build(family: Family, output: Path) -> None:
    if shutil.which("go") is None:
        raise CannotBuild(
            "Go 1.26 or newer is needed to build the local cluster's programs, and `go` is not on PATH"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_suffix(".unfinished")
    print(f"building {family.name} from its Go modules ...", file=sys.stderr, flush=True)
    begin = time.monotonic()
    done = subprocess.run(
        command(family, unfinished),
        cwd=family.folder,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotBuild(f"building {family.name} failed:\n{done.stderr[-2000:]}")
    unfinished.rename(output)
    print(f"built {family.name} in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def link(path: Path, target: Path) -> None:
    if path.is_symlink() and path.readlink() == target:
        return
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def main() -> int:
    try:
        print(ensure(*(sys.argv[1:] or ("kubernetes", "etcd", "coredns", "helm"))))
    except (CannotBuild, KeyError) as error:
        print(f"hack.binaries: {error}; families: {', '.join(FAMILIES)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
