"""The status against the schema that the API server holds it to."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml

from tests.operator.model_cluster import ModelCluster, spec

CRD = Path(__file__).parents[2] / "crds/inferencemodels.yaml"


def test_every_status_of_a_rollout_fits_the_schema():
    """And loses nothing to it: a field that the API server prunes would be written again and again."""
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    closed = _closed(schema["properties"]["status"])
    cluster = ModelCluster()
    cluster.settle()
    cluster.open_streams(1)
    for version in ("2.0.0", "3.0.0", "1.0.0"):
        cluster.edit(spec(version))
        for _ in range(20):
            made = cluster.round()
            jsonschema.validate(json.loads(json.dumps(made.status)), closed)
    cluster.broken.add("9")
    cluster.edit(spec("9"))
    for _ in range(90):
        jsonschema.validate(json.loads(json.dumps(cluster.round().status)), closed)
    assert cluster.status["phase"] == "Failed"


def _closed(schema):
    """The schema with every object closed to what it does not name."""
    found = {key: _closed(value) if isinstance(value, dict) else value for key, value in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found["additionalProperties"] = False
    return found
