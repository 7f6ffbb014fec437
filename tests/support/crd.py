"""The committed schema, read and walked; and the samples, each document with the file it is from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from hack.kube import Kube

ROOT = Path(__file__).resolve().parents[2]
CRD = ROOT / "crds/inferencemodels.yaml"
Schema = dict[str, Any]


def read_crd() -> Schema:
    crd: Schema = yaml.safe_load(CRD.read_text())
    return crd


def install_crd(kube: Kube) -> None:
    """As it is committed; returns when the API server serves it."""
    kube.run("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    kube.await_definition(read_crd()["metadata"]["name"])


def read_schema() -> Schema:
    """The schema of one whole object."""
    schema: Schema = read_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema below, with its path: `spec.clients[].name`, `spec.server.nodeSelector{}`."""
    for name, found in schema.get("properties", {}).items():
        below = f"{path}.{name}".lstrip(".")
        yield below, found
        yield from walk(found, below)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield path + mark, schema[key]
            yield from walk(schema[key], path + mark)


def as_json_schema(schema: Schema) -> Schema:
    """The same as JSON Schema, which refuses unknown fields as `kubectl apply` does with strict validation."""
    found = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if "properties" in schema:
        found["properties"] = {name: as_json_schema(below) for name, below in schema["properties"].items()}
        found["additionalProperties"] = False
    if "items" in schema:
        found["items"] = as_json_schema(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = as_json_schema(schema["additionalProperties"])
    return found


def object_schema() -> Schema:
    found = as_json_schema(read_schema())
    found["properties"]["metadata"] = {"type": "object"}  # the API server's own
    return found


def read_samples() -> dict[str, Schema]:
    """The InferenceModel of each sample, by the file's name."""
    return {
        path.name: document
        for path in sorted((ROOT / "hack/samples").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] == "InferenceModel"
    }
