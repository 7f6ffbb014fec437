"""The chart as Helm renders it, for tools and tests that read its manifests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hack import binaries

CHART = Path(__file__).resolve().parent.parent / "charts" / "realtime-serve"
MONITORED = {"monitoring": {"podMonitors": {"mode": "always"}, "alerts": {"mode": "always"}}}

Manifest = dict[str, Any]


class ChartRefusedError(Exception):
    """Helm did not render the chart; the message is Helm's."""


def helm(*arguments: str, text: str = "") -> str:
    """What Helm prints, given `text` on its standard input."""
    done = subprocess.run(
        (str(binaries.ensure("helm") / "helm"), *arguments),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ChartRefusedError(f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def render_text(values: Mapping[str, Any], *arguments: str, namespace: str = "realtime-serve") -> str:
    """`helm template` of the release `realtime-serve` with these values over the defaults."""
    command = (
        "template",
        "realtime-serve",
        str(CHART),
        "--namespace",
        namespace,
        "--values",
        "-",
        *arguments,
    )
    return helm(*command, text=json.dumps(values))


def render(values: Mapping[str, Any], *arguments: str, namespace: str = "realtime-serve") -> list[Manifest]:
    text = render_text(values, *arguments, namespace=namespace)
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def find(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]
