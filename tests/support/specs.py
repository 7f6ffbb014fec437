"""Random specs by the committed schema: right ones, and ones with a single thing wrong."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.support.crd import read_schema

Schema = dict[str, Any]
Place = tuple[Any, Any, Schema, str]
"""A container, the key or index in it, the schema of what is there, its path."""

SCHEMA = read_schema()["properties"]["spec"]
ANY_SHAPE = (
    "spec.server.affinity",
    "spec.server.tolerations[]",
    "spec.service.allowFrom[]",
    "spec.rollout.verification.prompts[].expect.json",
)
"""Passed on to Kubernetes as they are: the operator does not look into them, so nothing is bent there."""

SHA = "0123456789abcdef" * 4
TEXTS = st.text(alphabet="abz019 -._/:äß漢", max_size=12)
QUANTITIES = st.sampled_from(["1", "500m", "2Gi", "1.5", "1e3", "0", 2])
URIS = ["hf://o/r", "hf://o/r", "pvc://claim/a/b", "file:///m", "s3://b/p", "gs://b/p", "az://acc/c/p"]
EXAMPLES: dict[str, st.SearchStrategy[Any]] = {
    "spec.model.uri": st.sampled_from(URIS),
    "spec.model.version": st.sampled_from(["1.0.0", "2024 final"]),
    "spec.model.sha256": st.just(""),
    "spec.model.cache": st.sampled_from([{}, {"claimName": "c"}, {"sizeLimit": "1.5Gi"}]),
    "spec.autoscaling": st.sampled_from(
        [{"maxReplicas": 1}, {"minReplicas": 2, "maxReplicas": 9, "external": True}]
    ),
    "spec.server.env": st.sampled_from(
        [
            [],
            [{"name": "A"}, {"name": "_b.c-d", "value": "1"}],
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        ]
    ),
    "spec.server.affinity": st.just({"nodeAffinity": {}}),
    "spec.server.tolerations[]": st.just({"key": "gpu", "operator": "Exists"}),
    "spec.service.allowFrom[]": st.just({"podSelector": {}}),
    "spec.rateLimit": st.sampled_from(
        [{"requestsPerMinute": 5}, {"tokensPerMinute": 5, "burst": 1, "key": "header:X-A"}]
    ),
    "spec.clients": st.sampled_from([[], [{"name": "a", "secretRef": "s"}, {"name": "b", "secretRef": "s"}]]),
    "spec.rollout.analysis": st.sampled_from(
        [{"seconds": 5, "maxErrorRate": 0.5}, {"seconds": 5, "maxTimeToFirstTokenP95Ms": 1}]
    ),
    "spec.rollout.autoPromotionSeconds": st.nothing(),
    "spec.rollout.verification.prompts": st.sampled_from(
        [
            [{"prompt": "a"}, {"prompt": "b", "expect": {"contains": "c"}, "minTokensPerSecond": 1.5}],
            [{"prompt": "a", "name": "n-1", "expect": {"json": {"type": "object"}}}],
        ]
    ),
    "spec.service.nodePort": st.nothing(),
    "spec.service.httpRoute": st.sampled_from(
        [
            {"parentRefs": [{"name": "a"}]},
            {"parentRefs": [{"name": "a"}, {"name": "a", "namespace": "b", "port": 80}], "hostnames": []},
            {"parentRefs": [{"name": "A_b", "sectionName": "s.t"}], "hostnames": ["a.b", "*.c"]},
        ]
    ),
}
"""Where rules of the schema look at more than one field, so that most specs are right."""

BENT: dict[str, list[Any]] = {
    "spec.model.uri": ["hf://o", "hf://o/r/x", "hf://ö/r", "ftp://x", "pvc://Claim", "pvc://", "file://m", "az://a/c", "s3://b/../c", "http://h/m.zip", "hf://o/r\n", "HF://o/r", "https://h/m.tar.gz", "s3://b/..c", "pvc://c/"],
    "spec.model.sha256": ["0" * 64, "A" * 64],
    "spec.model.cache": [{"claimName": "c", "sizeLimit": "1Gi"}, {"sizeLimit": "x"}, {"sizeLimit": "-1"}],
    "spec.autoscaling": [{"minReplicas": 3, "maxReplicas": 2}, {"minReplicas": 3}],
    "spec.server.env": [
        [{"name": "A"}, {"name": "A"}],
        [{"name": "REALTIME_SERVE_PORT"}],
        [{"name": "1A"}],
        [{"name": "A", "value": "b", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        [{"name": "A", "valueFrom": {}}],
    ],
    "spec.server.resources.limits": [{"memory": "much"}, {"memory": "-1"}, {"cpu": ""}, {"cpu": "1e"}, {"cpu": True}],
    "spec.rateLimit": [{"burst": 1}, {"requestsPerMinute": 1, "key": "cookie"}, {"requestsPerMinute": 1, "key": "header:"}],
    "spec.clients": [[{"name": "a", "secretRef": "s"}, {"name": "a", "secretRef": "t"}], [{"name": "a"}]],
    "spec.rollout.analysis": [{"seconds": 5}, {"seconds": 0, "maxErrorRate": 1}],
    "spec.rollout": [{"autoPromotionSeconds": 5}, {"autoPromotion": False, "autoPromotionSeconds": 5}],
    "spec.rollout.verification.prompts": [
        [{"prompt": "a", "expect": {}}],
        [{"prompt": "a", "expect": {"contains": "b", "equals": "c"}}],
        [{"prompt": "a", "expect": {"contains": "b", "json": {}}}],
        [{"prompt": "a", "name": "n"}, {"prompt": "b", "name": "n"}],
        [{"prompt": "a", "name": "-n"}],
    ],
    "spec.service": [{"nodePort": 30_000}, {"type": "NodePort", "nodePort": 30_000}],
    "spec.service.httpRoute": [{}, {"parentRefs": []}, {"hostnames": ["a"]}],
    "spec.service.httpRoute.parentRefs": [
        [{"name": "a"}, {"name": "a"}],
        [{"name": "a"}, {"name": "a", "sectionName": "s"}],
        [{"name": "a", "sectionName": "s"}, {"name": "a", "sectionName": "s", "port": 1}],
        [{"name": "a", "sectionName": "s"}, {"name": "a", "sectionName": "t"}],
        [{"name": "a", "port": 1}, {"name": "a", "port": 2}],
        [{"name": "a"}, {"name": "a", "namespace": "n"}, {"name": "b"}],
        [{"name": str(number)} for number in range(8)],
        [{"name": str(number)} for number in range(9)],
    ],
    "spec.service.httpRoute.parentRefs[].namespace": ["a.b", "A", "-a", "a-", "0"],
    "spec.service.httpRoute.parentRefs[].sectionName": ["a.b", "a..b", "A"],
    "spec.service.httpRoute.hostnames[]": ["*", "*.", "*.a", "a.*", "A.b", "a.b.", "1.2.3.4", "a_b"],
    "spec.service.httpRoute.hostnames": [["a"] * 16, ["a"] * 17, ["a", "a"]],
}  # fmt: skip


def right(schema: Schema, path: str = "spec") -> st.SearchStrategy[Any]:
    """What the types of the schema allow; its rules may still refuse it."""
    if path in EXAMPLES:
        return EXAMPLES[path]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return QUANTITIES
    return _BY_TYPE[schema["type"]](schema, path)


def _list(schema: Schema, path: str) -> st.SearchStrategy[Any]:
    return st.lists(right(schema["items"], f"{path}[]"), max_size=min(2, schema["maxItems"]))


def _text(schema: Schema, _path: str) -> st.SearchStrategy[Any]:
    longest = min(schema["maxLength"], 12)
    return TEXTS.map(lambda text: (text or "x")[:longest])


def _object(schema: Schema, path: str) -> st.SearchStrategy[Any]:
    if "additionalProperties" in schema:
        values = right(schema["additionalProperties"], f"{path}{{}}")
        return st.dictionaries(st.sampled_from(["cpu", "memory", "a.b/c"]), values, max_size=2)
    below = {name: right(found, f"{path}.{name}") for name, found in schema["properties"].items()}
    below = {name: found for name, found in below.items() if not found.is_empty}
    required = {name: below.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=below)


def _number(schema: Schema, _path: str) -> st.SearchStrategy[Any]:
    low, high = schema["minimum"], schema["maximum"]
    between = st.integers(low, high) if schema["type"] == "integer" else st.floats(low, high)
    return st.one_of(st.sampled_from([low, high]), between)


_BY_TYPE = {
    "object": _object,
    "array": _list,
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": lambda _schema, _path: st.booleans(),
}


def places(value: Any, schema: Schema, path: str = "spec") -> Iterator[Place]:
    """Everything in a value that the operator looks at itself."""
    if path.startswith(ANY_SHAPE):
        return
    if isinstance(value, dict):
        for key in value:
            inner = schema.get("additionalProperties") or schema["properties"][key]
            below = f"{path}{{}}" if "additionalProperties" in schema else f"{path}.{key}"
            yield value, key, inner, below
            yield from places(value[key], inner, below)
    if isinstance(value, list):
        for index in range(len(value)):
            yield value, index, schema["items"], f"{path}[]"
            yield from places(value[index], schema["items"], f"{path}[]")


def wrong(schema: Schema) -> list[Any]:
    """Values that a field of this schema may not have, or only just may."""
    found: list[Any] = [None, "text", 7, 1.5, True, [], {}, {"unknown": 1}]
    if "minimum" in schema:
        found += [schema["minimum"] - 1, schema["maximum"] + 1, str(schema["minimum"])]
    if "maxLength" in schema:
        found += ["x" * (schema["maxLength"] + 1), ""]
    return found


@st.composite
def specs(draw: st.DrawFn) -> Schema:
    spec: Schema = draw(right(SCHEMA))
    if draw(st.booleans()):
        return spec
    spec = copy.deepcopy(spec)
    found = [place for place in places(spec, SCHEMA) if not place[3].startswith(ANY_SHAPE)]
    container, key, schema, path = draw(st.sampled_from(found))
    container[key] = draw(st.sampled_from([*BENT.get(path, ()), *wrong(schema)]))
    return spec
