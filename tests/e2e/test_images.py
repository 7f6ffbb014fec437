"""Images as they are in the registry."""

import json
import tomllib
import urllib.request

import pytest

from hack import registry
from hack.images.build import build
from hack.images.inputs import IMAGES, ROOT

pytestmark = pytest.mark.cluster


def fetch(path, accept="*/*"):
    request = urllib.request.Request(registry.URL + path, headers={"Accept": accept})  # our own http://
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture(params=IMAGES)
def image(request):
    build(request.param)
    return IMAGES[request.param]


def test_building_again_builds_nothing_and_dev_is_that_very_image(image):
    again = build(image.name)
    assert not again.built
    assert registry.digest(image.repository, "dev") == again.digest
    assert registry.digest(image.repository, again.reference.rpartition(":")[2]) == again.digest


def test_the_image_says_who_made_it_and_runs_as_nobody(image):
    manifest = fetch(f"{image.repository}/manifests/dev", ", ".join(registry.MANIFESTS))
    config = fetch(f"{image.repository}/blobs/{manifest['config']['digest']}")["config"]
    labels = config["Labels"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.revision"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python", "-m", image.package.name]


def test_the_code_is_the_last_layer_and_a_small_one(image):
    manifest = fetch(f"{image.repository}/manifests/dev", ", ".join(registry.MANIFESTS))
    *below, code = [layer["size"] for layer in manifest["layers"]]
    assert code < 1_000_000 < min(below)
