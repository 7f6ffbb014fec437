"""The image registry at localhost:5000: the start of it, and the two requests of its API that builds need."""

from __future__ import annotations

import shutil
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from hack import packages
from hack.background import Background, answers
from hack.cache import CACHE, RUN

ADDRESS = "localhost:5000"
URL = f"http://{ADDRESS}/v2/"
STORAGE = CACHE / "registry"  # survives a restart, so that a layer of 3 GB is pushed once
MOST_BYTES = 12 * 2**30
"""Of old builds nobody asks again; what is asked for is pushed again, or built again."""
CONFIG = f"""\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {STORAGE}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:5000"}}
"""
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class ManifestMissing(Exception):
    """The registry has no such image."""


def background() -> Background:
    config = RUN / "registry.yml"
    return Background("registry", ["docker-registry", "serve", str(config)], URL)


def up() -> None:
    """Have a registry answer at localhost:5000, whoever started it. Raises PackagesMissing, DidNotStart."""
    if answers(URL):
        return
    packages.ensure({"docker-registry": "docker-registry"})
    RUN.mkdir(parents=True, exist_ok=True)
    if _size(STORAGE) > MOST_BYTES:
        shutil.rmtree(STORAGE)
    STORAGE.mkdir(parents=True, exist_ok=True)
    (RUN / "registry.yml").write_text(CONFIG)
    background().start()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def down() -> bool:
    """End the registry that `up` started; False when there was none."""
    return background().stop()


def digest(repository: str, tag: str) -> str | None:
    """Digest of a tag, None where the registry has no such tag."""
    answer = _request("HEAD", repository, tag)
    return answer[0] if answer else None


def retag(repository: str, tag: str, new_tag: str) -> None:
    """Give a tag's manifest another tag; no layer moves."""
    answer = _request("GET", repository, tag)
    if answer is None:
        raise ManifestMissing(f"{ADDRESS}/{repository}:{tag} is not in the registry")
    _, content_type, manifest = answer
    _request("PUT", repository, new_tag, manifest, content_type)


def _request(
    method: str, repository: str, tag: str, body: bytes | None = None, content_type: str = ""
) -> tuple[str, str, bytes] | None:
    headers = {"Content-Type": content_type} if body else {"Accept": ", ".join(MANIFESTS)}
    request = urllib.request.Request(  # noqa: S310  # our own http:// address
        f"{URL}{repository}/manifests/{tag}", data=body, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return (
                answer.headers["Docker-Content-Digest"],
                answer.headers["Content-Type"] or "",
                answer.read(),
            )
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND and body is None:
            return None
        raise


def main() -> int:
    commands = {"up": up, "down": down}
    if sys.argv[1:] not in [[name] for name in commands]:
        print("usage: python -m hack.registry up|down", file=sys.stderr)
        return 2
    commands[sys.argv[1]]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
