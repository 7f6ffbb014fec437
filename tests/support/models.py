"""Tiny models on the local hub, and the InferenceModels that serve them."""

import copy
import json
import urllib.request
from collections.abc import Callable
from typing import Any

from hack.cache import CACHE
from hack.hub import samples
from hack.hub.__main__ import NODE, PORT
from hack.hub.__main__ import up as hub_up
from tests.support.tiny_models import write_model

ROLLOUT_SECONDS = 240
"""A tiny model is rolled out well within that, on a busy machine too."""
HUB = f"http://{NODE}:{PORT}"
TINY = "demo/tiny"
TORN = "demo/tiny-torn"
SHUFFLED = "demo/tiny-shuffled"
TORN_BYTES = 4000
"""More than the header of the weights and less than their tensors."""


def publish() -> None:
    """Have a tiny model on the hub, a copy whose weights were cut short, and one with other weights.

    They stay: another run may be using them.
    """
    hub_up(NODE, PORT)
    model = CACHE / "models" / "tiny"
    if not (model / "config.json").exists():
        write_model(model, max_position_embeddings=4096)
    if not (samples.ROOT / TINY).exists():
        samples.link(model, TINY)
    if not (samples.ROOT / TORN).exists():
        samples.truncate(model, TORN, keep_bytes=TORN_BYTES)
    shuffled = CACHE / "models" / "tiny-shuffled"
    if not (shuffled / "config.json").exists():
        write_model(shuffled, max_position_embeddings=4096, seed=8)
    if not (samples.ROOT / SHUFFLED).exists():
        samples.link(shuffled, SHUFFLED)


def downloads(repository: str) -> int:
    """How often weight files of a repository were fetched from the hub."""
    with urllib.request.urlopen(f"{HUB}/_stats") as answer:
        files = json.load(answer)["files"]
    return sum(
        count["gets"]
        for name, count in files.items()
        if name.startswith(f"{repository}/") and "safetensors" in name
    )


def tiny_model(image: str, **changes: Any) -> dict[str, Any]:
    """An InferenceModel of the tiny model; `changes` are merged into its spec."""
    spec = {
        "model": {"uri": f"hf://{TINY}", "version": "1.0.0", "maxModelLength": 2048, "dtype": "float32"},
        "gpu": {"count": 0},
        "server": {
            "image": image,
            "env": [{"name": "HF_ENDPOINT", "value": HUB}],
            "resources": {"requests": {"cpu": "50m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        },
        "limits": {"maxConnections": 256, "maxQueue": 1024, "maxTokens": 4096, "requestTimeoutSeconds": 300},
        "rollout": {"progressDeadlineSeconds": 180, "drainTimeoutSeconds": 300},
    }
    return {
        "apiVersion": "realtime-serve.io/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": "chat"},
        "spec": merged(spec, changes),
    }


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A JSON merge patch, as kubectl does it."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def condition(model: dict[str, Any], kind: str) -> dict[str, Any]:
    found = model.get("status", {}).get("conditions", [])
    return next(
        (one for one in found if one["type"] == kind), {"status": "absent", "reason": "", "message": ""}
    )


def current(model: dict[str, Any]) -> bool:
    """The status speaks of the newest edit."""
    return bool(model.get("status", {}).get("observedGeneration") == model["metadata"]["generation"])


def settled_on(version: str) -> Callable[[dict[str, Any]], bool]:
    """Serving that version, with nothing under way."""

    def holds(model: dict[str, Any]) -> bool:
        status = model.get("status", {})
        active = status.get("active") or {}
        return (
            current(model)
            and status.get("phase") == "Ready"
            and active.get("version") == version
            and not status.get("draining")
        )

    return holds


def in_phase(*phases: str) -> Callable[[dict[str, Any]], bool]:
    return lambda model: current(model) and model["status"].get("phase") in phases
