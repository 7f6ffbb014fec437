"""Brings up what a demo and the end-to-end tests stand on: images, weights, the chart. Each is the command a person would type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import Cluster
from hack.images.build import build
from hack.kube import Manifest

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "realtime-serve"
SAMPLES = ROOT / "hack" / "samples"
RELEASE = "realtime-serve"


@dataclass(frozen=True)
class Images:
    """References by content, which never move: what was tested is what runs."""

    server: str
    operator: str


def build_images() -> Images:
    return Images(server=build("server").reference, operator=build("operator").reference)


def install_chart(cluster: Cluster, images: Images, *settings: str, namespace: str = RELEASE) -> None:
    """Install or upgrade, and wait until the operator is ready. Raises CalledProcessError with helm's words."""
    repository, _, tag = images.operator.rpartition(":")
    values = (
        f"image.repository={repository}",
        f"image.tag={tag}",
        f"defaultServerImage={images.server}",
        *settings,
    )
    options = [option for value in values for option in ("--set", value)]
    # Take ownership: an earlier release of another name may have left the resource definition, which outlives releases.
    wait = ("--create-namespace", "--take-ownership", "--wait", "--timeout", "120s")
    cluster.helm("upgrade", "--install", RELEASE, str(CHART), "--namespace", namespace, *wait, *options)


def sample(name: str, environment: dict[str, str]) -> list[Manifest]:
    """A file of hack/samples, with variables added to its pods."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((SAMPLES / name).read_text()))
    for document in documents:
        if document["kind"] == "InferenceModel":
            entries = [{"name": key, "value": value} for key, value in environment.items()]
            document["spec"].setdefault("server", {}).setdefault("env", []).extend(entries)
    return documents
