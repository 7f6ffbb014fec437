"""The operator's types say exactly what the schema says: the same fields, defaults, bounds and choices."""

import re
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from inference_operator.spec import Spec
from inference_operator.spec.server import RESERVED
from tests.support.crd import read_schema, walk

ANY_SHAPE = (
    "spec.server.affinity",
    "spec.server.tolerations[]",
    "spec.service.allowFrom[]",
    "spec.rollout.verification.prompts[].expect.json",
)
"""Passed on to Kubernetes as they are: the types do not look into them, the schema does."""

NOTHING = (None, "", (), [], {}, msgspec.UNSET)
"""Defaults that mean 'not given'; the schema then has none."""


def facts_of_types(found: inspect.Type, path: str, default: Any = None) -> dict[str, dict[str, Any]]:
    """By schema path: type, default, bounds and choices."""
    if isinstance(found, inspect.UnionType):
        inner = [each for each in found.types if not isinstance(each, inspect.NoneType)]
        return facts_of_types(inner[0], path, default) if len(inner) == 1 else {path: {"type": "quantity"}}
    if path in ANY_SHAPE:
        return {path: {"type": "object"}}
    fact = fact_of(found)
    if default not in NOTHING and fact["type"] not in {"object", "array"}:
        fact["default"] = default
    return {path: fact, **facts_below(found, path)}


def fact_of(found: inspect.Type) -> dict[str, Any]:  # noqa: PLR0911 - a table
    match found:
        case inspect.StructType():
            return {"type": "object"}
        case inspect.DictType():
            return {"type": "object", "maxProperties": found.max_length}
        case inspect.VarTupleType():
            return {"type": "array", "maxItems": found.max_length}
        case inspect.LiteralType():
            return {"type": "string", "enum": set(found.values)}
        case inspect.StrType():
            bounds = {"minLength": found.min_length or 0, "maxLength": found.max_length}
            return {"type": "string", "pattern": found.pattern, **bounds}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer", "minimum": found.ge, "maximum": found.le}
        case inspect.FloatType():
            return {"type": "number", "minimum": found.ge, "maximum": found.le}
    raise AssertionError(f"what is {found}?")


def facts_below(found: inspect.Type, path: str) -> dict[str, dict[str, Any]]:
    match found:
        case inspect.StructType():
            fields = [
                facts_of_types(field.type, f"{path}.{field.encode_name}", default_of(field))
                for field in found.fields
            ]
            return {key: fact for facts in fields for key, fact in facts.items()}
        case inspect.VarTupleType():
            return facts_of_types(found.item_type, f"{path}[]")
        case inspect.DictType():
            return facts_of_types(found.value_type, f"{path}{{}}")
    return {}


def default_of(field: inspect.Field) -> Any:
    return None if field.default is msgspec.NODEFAULT else field.default


def facts_of_schema() -> dict[str, dict[str, Any]]:
    found = {}
    for path, schema in walk(read_schema()):
        if not path.startswith("spec") or path.startswith(tuple(f"{shape}." for shape in ANY_SHAPE)):
            continue
        if schema.get("x-kubernetes-int-or-string"):
            found[path] = {"type": "quantity"}
            continue
        kept = {"type", "maxItems", "maxProperties", "minimum", "maximum"}
        fact = {key: value for key, value in schema.items() if key in kept}
        if "enum" in schema:
            fact = {"type": "string", "enum": set(schema["enum"])}
        elif schema["type"] == "string":
            bounds = {"minLength": schema.get("minLength", 0), "maxLength": schema["maxLength"]}
            fact |= {"pattern": schema.get("pattern"), **bounds}
        if schema.get("default") not in NOTHING and schema["type"] != "object":
            fact["default"] = schema["default"]
        found[path] = fact
    return found


TYPES = facts_of_types(inspect.type_info(Spec), "spec")
SCHEMA = facts_of_schema()


def test_types_and_schema_have_the_same_fields():
    assert set(TYPES) == set(SCHEMA)


@pytest.mark.parametrize("path", sorted(set(TYPES) & set(SCHEMA)))
def test_types_and_schema_say_the_same_of(path):
    assert TYPES[path] == SCHEMA[path]


def test_types_and_schema_require_the_same_fields():
    required = {
        f"{path}.{name}"
        for path, schema in (("spec", read_schema()["properties"]["spec"]), *walk(read_schema()))
        if path.startswith("spec") and not path.startswith(ANY_SHAPE)
        for name in schema.get("required", ())
    }
    assert set(required_by_types(inspect.type_info(Spec), "spec")) == required


def required_by_types(found: inspect.Type, path: str):
    match found:
        case inspect.UnionType():
            for each in found.types:
                yield from required_by_types(each, path)
        case inspect.VarTupleType():
            yield from required_by_types(found.item_type, f"{path}[]")
        case inspect.StructType():
            for field in found.fields:
                below = f"{path}.{field.encode_name}"
                if field.required:
                    yield below
                yield from required_by_types(field.type, below)


def test_a_section_left_out_is_the_section_of_defaults():
    """The schema fills in `batching: {}`; the types must understand the same by its absence."""
    sections = {
        path.removeprefix("spec.")
        for path, schema in walk(read_schema())
        if path.startswith("spec.") and schema.get("default") == {}
    }
    model = {"uri": "hf://a/b", "version": "1"}
    left_out = msgspec.convert({"model": model}, Spec)
    written = msgspec.convert({"model": model, **{name: {} for name in sections}}, Spec)
    assert sections == {"gpu", "server", "batching", "limits", "streaming", "rollout", "service"}
    assert written == left_out


def test_both_refuse_the_same_environment_variables():
    rule = dict(walk(read_schema()))["spec.server.env[].name"]["x-kubernetes-validations"][0]["rule"]
    assert set(re.findall(r"REALTIME_SERVE_\w+", rule)) == RESERVED
