"""What an image is made of, and the tags that follow from it: equal inputs have equal tags."""

from __future__ import annotations

import hashlib
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from hack.requirements import read_extras

ROOT = Path(__file__).resolve().parent.parent.parent
CODE_STAGE = "FROM ${DEPENDENCIES}"


class InputMissing(Exception):
    """A file or an installed package that the tags are computed from is not there."""


@dataclass(frozen=True)
class Image:
    name: str
    package: Path
    """The Python package that is copied in, relative to the repository's root."""
    extras: tuple[str, ...]
    """Of pyproject.toml, that its Dockerfile installs."""
    debian: tuple[str, ...] = ()
    """Packages for a base that is made here. Public Python images have the headers, and g++ comes by the Dockerfile."""

    @property
    def dockerfile(self) -> Path:
        return ROOT / self.package.parent / "Dockerfile"

    @property
    def repository(self) -> str:
        return f"realtime-serve/{self.name}"


IMAGES = {
    "server": Image(
        "server", Path("server/realtime_serve"), ("server", "redis", "otel"), ("g++", "libpython3-dev")
    ),
    "operator": Image("operator", Path("operator/inference_operator"), ("operator",)),
}


def digest(parts: Iterable[str | bytes]) -> str:
    """16 hex digits over the parts; where one part ends matters."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()[:16]


def dependencies_tag(image: Image, base: str) -> str:
    """Changes with the base image, the dependency stages, and any version that the image really installs."""
    stages = image.dockerfile.read_text().partition(CODE_STAGE)[0]
    requirements = read_extras(ROOT / "pyproject.toml", image.extras)
    return digest([base, stages, *requirements, *pins(requirements)])


def code_tag(image: Image, dependencies: str, labels: Mapping[str, str]) -> str:
    files = sorted(path for path in (ROOT / image.package).rglob("*") if is_code(path))
    named = [part for path in files for part in (path.relative_to(ROOT).as_posix(), path.read_bytes())]
    return digest([dependencies, image.dockerfile.read_bytes(), *labels.values(), *named])


def is_code(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def labels(image: Image) -> dict[str, str]:
    """Build arguments: the project's version, and the commit that last changed what the image holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"VERSION": project["version"], "REVISION": revision(image)}


def revision(image: Image) -> str:
    """A commit, with `-dirty` behind it when the files differ from it; `unknown` outside a git checkout."""
    paths = [image.package.as_posix(), image.dockerfile.relative_to(ROOT).as_posix()]
    log = subprocess.run(
        ["git", "log", "-1", "--format=%H", "--", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    commit = log.stdout.strip()
    if log.returncode != 0 or not commit:
        return "unknown"
    changes = subprocess.run(
        ["git", "status", "--porcelain", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return f"{commit}-dirty" if changes.stdout.strip() else commit


def pins(requirements: Iterable[str]) -> list[str]:
    """Lines of constraints.txt that these requirements lead to. A new version of a linter rebuilds no image."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]): line for line in lines if "==" in line}
    missing = sorted(closure(requirements) - pinned.keys())
    if missing:
        raise InputMissing(f"constraints.txt has no version of {', '.join(missing)}; run 'make constraints'")
    return sorted(pinned[name] for name in closure(requirements))


def closure(requirements: Iterable[str]) -> set[NormalizedName]:
    """Names of all packages that the requirements pull in, as this environment has them installed."""
    pending = [Requirement(line) for line in requirements]
    seen: set[tuple[NormalizedName, str]] = set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                pending += wanted_by(name, extra)
    return {name for name, _ in seen}


def wanted_by(name: str, extra: str) -> list[Requirement]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError as error:
        raise InputMissing(f"package {name} is not installed; run 'make venv'") from error
    parsed = [Requirement(line) for line in lines]
    return [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": extra})]
