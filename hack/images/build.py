"""From the tree to the registry: base, dependencies, code, push; each only when its inputs changed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hack import registry
from hack.cache import alone
from hack.images import inputs
from hack.images.base import base_image
from hack.images.engines import Build, Engine, find_engine
from hack.images.inputs import Image

DEVELOPMENT_TAG = "dev"


@dataclass(frozen=True)
class Pushed:
    reference: str
    """The image under the tag of its content, which never moves to another content."""
    digest: str
    built: bool
    seconds: float


def build(name: str) -> Pushed:
    """Have one image in the registry as this tree says, under its content's tag and as `:dev`."""
    begin = time.monotonic()
    with alone("images"):  # two builds at once would both install torch
        registry.up()
        engine, image = find_engine(), inputs.IMAGES[name]
        base = base_image(engine, image)
        dependencies = inputs.dependencies_tag(image, base)
        labels = inputs.labels(image)
        tag = inputs.code_tag(image, dependencies, labels)
        digest = registry.digest(image.repository, tag)
        built = digest is None
        if built:
            source = have_dependencies(engine, image, base, dependencies)
            push_code(engine, image, tag, {"DEPENDENCIES": source, "BASE_IMAGE": base, **labels})
            digest = registry.digest(image.repository, tag)
        if digest is None:
            raise registry.ManifestMissing(f"{image.repository}:{tag} was pushed and is not in the registry")
        if registry.digest(image.repository, DEVELOPMENT_TAG) != digest:
            registry.retag(image.repository, tag, DEVELOPMENT_TAG)
    return Pushed(f"{registry.ADDRESS}/{image.repository}:{tag}", digest, built, time.monotonic() - begin)


def have_dependencies(engine: Engine, image: Image, base: str, tag: str) -> str:
    name = f"localhost/{image.repository}-dependencies:{tag}"
    if not engine.has(name):
        forget(engine, image)
        print(f"{image.name}: installing its dependencies into a layer of their own", flush=True)
        engine.build(Build(image.dockerfile, name, {"BASE_IMAGE": base}, stage="dependencies"))
    return name


def forget(engine: Engine, image: Image) -> None:
    """Remove this image's older builds: the server's dependencies take 5 GB each time they change."""
    ours = f"localhost/{image.repository}-dependencies:", f"{registry.ADDRESS}/{image.repository}:"
    for name in engine.list():
        if name.startswith(ours):
            engine.remove(name)


def push_code(engine: Engine, image: Image, tag: str, arguments: dict[str, str]) -> None:
    name = f"{registry.ADDRESS}/{image.repository}:{tag}"
    if not engine.has(name):
        engine.build(Build(image.dockerfile, name, arguments))
    engine.push(name)
