"""The resource's schema holds what the design promises, and the samples keep to it."""

import jsonschema
import pytest

from inference_operator import names
from inference_operator.spec import parse
from tests.support.crd import object_schema, read_crd, read_samples, read_schema, walk

SCHEMA = dict(walk(read_schema()))
SAMPLES = read_samples()


def has_type(schema, *types):
    return schema.get("type") in types


def test_every_field_is_described():
    undescribed = {path for path, schema in SCHEMA.items() if not schema.get("description", "").endswith(".")}
    assert undescribed == {"metadata"}  # the API server refuses a description there


def test_every_text_has_a_longest_length():
    texts = {path: schema for path, schema in SCHEMA.items() if has_type(schema, "string")}
    assert [path for path, schema in texts.items() if "maxLength" not in schema] == []


def test_every_list_and_map_has_a_largest_size():
    lists = [
        path for path, schema in SCHEMA.items() if has_type(schema, "array") and "maxItems" not in schema
    ]
    maps = [
        path
        for path, schema in SCHEMA.items()
        if "additionalProperties" in schema and "maxProperties" not in schema
    ]
    assert lists + maps == []


def test_every_number_has_both_bounds():
    numbers = {path: schema for path, schema in SCHEMA.items() if has_type(schema, "integer", "number")}
    assert [path for path, schema in numbers.items() if not {"minimum", "maximum"} <= set(schema)] == []


def test_every_rule_says_what_is_allowed():
    rules = [rule for schema in SCHEMA.values() for rule in schema.get("x-kubernetes-validations", ())]
    assert rules
    assert all(rule.get("message") for rule in rules)


def test_a_default_keeps_to_its_own_bounds():
    defaults = {path: schema for path, schema in SCHEMA.items() if "default" in schema}
    assert defaults
    for schema in defaults.values():
        jsonschema.validate(schema["default"], schema)


def test_the_names_are_those_that_the_operator_uses():
    spec = read_crd()["spec"]
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (
        names.GROUP,
        names.KIND,
        names.PLURAL,
    )
    assert spec["versions"][0]["name"] == names.VERSION
    assert read_crd()["metadata"]["name"] == f"{names.PLURAL}.{names.GROUP}"


def test_an_autoscaler_finds_replicas_and_selector():
    version = read_crd()["spec"]["versions"][0]
    assert version["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    assert {"spec.replicas", "status.replicas", "status.selector"} <= set(SCHEMA)


def test_every_column_shows_a_field_that_exists():
    for column in read_crd()["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = column["jsonPath"].lstrip(".").replace('[?(@.type=="Ready")]', "[]")
        assert path in SCHEMA or path.startswith("metadata."), column["name"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_keeps_to_the_schema(name):
    jsonschema.validate(SAMPLES[name], object_schema())


@pytest.mark.parametrize("name", SAMPLES)
def test_the_operator_understands_a_sample(name):
    assert parse(SAMPLES[name]["spec"]).model.version == SAMPLES[name]["spec"]["model"]["version"]


def test_a_misspelt_field_is_refused():
    sample = {**SAMPLES["minimal.yaml"], "spec": {**SAMPLES["minimal.yaml"]["spec"], "replica": 2}}
    with pytest.raises(jsonschema.ValidationError, match="replica"):
        jsonschema.validate(sample, object_schema())


def test_the_full_sample_shows_every_field():
    shown = set(paths(SAMPLES["full.yaml"]["spec"], "spec"))
    excluding = {"spec.model.cache.sizeLimit"}  # and claimName exclude each other
    fields = {path for path in SCHEMA if path.startswith("spec.") and not path.endswith(("[]", "{}"))}
    assert fields - shown == excluding


def paths(value, path):
    """The schema path of everything that a sample says."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield f"{path}.{key}"
            yield from paths(below, f"{path}.{key}")
    if isinstance(value, list):
        for below in value:
            yield from paths(below, f"{path}[]")
