"""The spec: what is understood, what is refused and in which words, what makes a new revision."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator import names
from inference_operator.errors import InvalidSpec
from inference_operator.spec import ask, mold, parse, revision

MODEL = {"uri": "hf://org/model", "version": "1.0.0"}


def minimal(**sections: Any) -> dict[str, Any]:
    return {"model": MODEL} | sections


def routed(*parents: dict[str, Any]) -> dict[str, Any]:
    return minimal(service={"httpRoute": {"parentRefs": list(parents)}})


WRONG = {
    "no model": ({}, "spec", "missing required field `model`"),
    "a Gateway that is named twice without sections": (
        routed({"name": "a", "port": 1}, {"name": "a", "port": 2}),
        "spec.service.httpRoute",
        "parentRefs name Gateway a more than once: each needs a sectionName of its own",
    ),
    "a section of a Gateway that is named twice": (
        routed({"name": "a", "sectionName": "s"}, {"name": "a", "sectionName": "s"}),
        "spec.service.httpRoute",
        "parentRefs name Gateway a more than once",
    ),
    "a route to nothing": (routed(), "spec.service.httpRoute.parentRefs", "length >= 1"),
    "an unknown section": (minimal(batchng={}), "spec", "unknown field `batchng`"),
    "an unknown field": (minimal(batching={"size": 1}), "spec.batching", "unknown field `size`"),
    "a batch of nothing": (minimal(batching={"maxBatchSize": 0}), "spec.batching.maxBatchSize", ">= 1"),
    "text for a number": (minimal(replicas="2"), "spec.replicas", "Expected `int`, got `str`"),
    "a foreign scheme": (
        minimal(model=MODEL | {"uri": "ftp://x/y"}),
        "spec.model",
        "must begin with one of hf://, pvc://, file://, s3://, gs://, az://, http://, https://",
    ),
    "half a repository": (
        minimal(model=MODEL | {"uri": "hf://org"}),
        "spec.model",
        "hf://ORGANISATION/REPOSITORY",
    ),
    "Azure without a container": (
        minimal(model=MODEL | {"uri": "az://account"}),
        "spec.model",
        "az://ACCOUNT/CONTAINER",
    ),
    "an archive of the web without its checksum": (
        minimal(model=MODEL | {"uri": "https://host/model.tar.gz"}),
        "spec.model",
        "with its sha256",
    ),
    "a page of the web": (
        minimal(model=MODEL | {"uri": "https://host/model", "sha256": "0" * 64}),
        "spec.model",
        "must name an archive",
    ),
    "a checksum of no archive": (
        minimal(model=MODEL | {"uri": "s3://bucket/model", "sha256": "0" * 64}),
        "spec.model",
        "sha256 is of an archive",
    ),
    "a relative path": (minimal(model=MODEL | {"uri": "file://x"}), "spec.model", "file:///ABSOLUTE/PATH"),
    "a claim that can be none": (minimal(model=MODEL | {"uri": "pvc://Claim"}), "spec.model", "pvc://CLAIM"),
    "a repository that can be none": (minimal(model=MODEL | {"uri": "hf://ö/r"}), "spec.model", "hf://ORG"),
    "a pull secret twice": (
        minimal(server={"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}),
        "spec.server",
        "imagePullSecrets names a more than once",
    ),
    "a climbing path": (minimal(model=MODEL | {"uri": "pvc://claim/../x"}), "spec.model", "must not climb"),
    "an unknown dtype": (
        minimal(model=MODEL | {"dtype": "int8"}),
        "spec.model.dtype",
        "Invalid enum value 'int8'",
    ),
    "both kinds of cache": (
        minimal(model=MODEL | {"cache": {"claimName": "a", "sizeLimit": "1Gi"}}),
        "spec.model.cache",
        "exclude each other",
    ),
    "a variable twice": (
        minimal(server={"env": [{"name": "A"}, {"name": "A"}]}),
        "spec.server",
        "env names A more than once",
    ),
    "a variable from nowhere": (
        minimal(server={"env": [{"name": "A", "valueFrom": {}}]}),
        "spec.server.env[0].valueFrom",
        "exactly one of secretKeyRef and configMapKeyRef",
    ),
    "more at least than at most": (
        minimal(autoscaling={"minReplicas": 3, "maxReplicas": 2}),
        "spec.autoscaling",
        "minReplicas 3 is above maxReplicas 2",
    ),
    "a client twice": (
        minimal(clients=[{"name": "web", "secretRef": "a"}, {"name": "web", "secretRef": "b"}]),
        "spec",
        "clients named web appear more than once",
    ),
    "a node port inside": (minimal(service={"nodePort": 30080}), "spec.service", "needs type NodePort"),
    "a node port out of range": (
        minimal(service={"type": "NodePort", "nodePort": 80}),
        "spec.service.nodePort",
        ">= 30000",
    ),
    "a priority nobody knows": (
        minimal(clients=[{"name": "web", "secretRef": "a", "priority": "urgent"}]),
        "spec.clients[0].priority",
        "urgent",
    ),
}


@pytest.mark.parametrize(("raw", "path", "problem"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_named_by_its_path_and_told_what_is_allowed(raw, path, problem):
    with pytest.raises(InvalidSpec) as caught:
        parse(raw)
    assert caught.value.path == path
    assert problem in caught.value.problem


def test_two_fields_are_enough():
    spec = parse(minimal())
    assert (spec.replicas, spec.gpu.count, spec.batching.max_batch_size) == (1, 1, 32)


ROLLING = {
    "the weights": {"model": MODEL | {"uri": "hf://org/other"}},
    "the version": {"model": MODEL | {"version": "2"}},
    "the hub's revision": {"model": MODEL | {"revision": "v2"}},
    "the served name": {"model": MODEL | {"servedName": "x"}},
    "the dtype": {"model": MODEL | {"dtype": "float32"}},
    "the cache": {"model": MODEL | {"cache": {"sizeLimit": "1Gi"}}},
    "the accelerators": {"gpu": {"count": 2}},
    "the image": {"server": {"image": "x"}},
    "a variable": {"server": {"env": [{"name": "A", "value": "b"}]}},
    "the memory": {"server": {"resources": {"limits": {"memory": "1Gi"}}}},
}
LIVE = {
    "replicas": {"replicas": 3},
    "batching": {"batching": {"maxBatchSize": 1}},
    "limits": {"limits": {"maxQueue": 1}},
    "streaming": {"streaming": {"heartbeatSeconds": 1}},
    "rollout": {"rollout": {"drainTimeoutSeconds": 1}},
    "service": {"service": {"type": "LoadBalancer"}},
    "clients": {"clients": [{"name": "web", "secretRef": "a"}]},
    "rate limit": {"rateLimit": {"tokensPerMinute": 1}},
}


@pytest.mark.parametrize("sections", ROLLING.values(), ids=ROLLING.keys())
def test_a_rolling_field_makes_a_new_revision(sections):
    assert revision(parse(minimal(**sections))) != revision(parse(minimal()))


@pytest.mark.parametrize("sections", LIVE.values(), ids=LIVE.keys())
def test_a_live_field_makes_no_new_revision(sections):
    assert revision(parse(minimal(**sections))) == revision(parse(minimal()))


def test_a_default_written_out_is_no_change():
    written = {
        "model": MODEL | {"revision": "main", "cache": {}, "maxModelLength": 2048, "dtype": "auto"},
        "gpu": {"count": 1, "resource": "nvidia.com/gpu"},
        "server": {"env": [], "restartedAt": "", "resources": {"limits": {}}},
        "limits": {"maxQueue": 1024},
    }
    assert revision(parse(written)) == revision(parse(minimal()))
    assert ask(parse(written)) == ask(parse(minimal()))


def test_the_order_of_keys_is_no_change():
    one = minimal(server={"nodeSelector": {"a": "1", "b": "2"}})
    other = minimal(server={"nodeSelector": {"b": "2", "a": "1"}})
    assert revision(parse(one)) == revision(parse(other))


def test_a_revision_stays_what_it_was_when_the_operator_is_upgraded():
    assert revision(parse(minimal())) == "49p9mll4"


@pytest.mark.parametrize(
    "sections",
    [{"server": {"restartedAt": "today"}}, {"streaming": {"redisSecretRef": "redis"}}],
    ids=["restartedAt", "redisSecretRef"],
)
def test_what_only_a_new_pod_can_have_is_a_new_revision_and_no_swap_in_place(sections):
    plain, changed = parse(minimal()), parse(minimal(**sections))
    assert revision(changed) != revision(plain)
    assert mold(changed) != mold(plain)


def test_scaling_asks_for_nothing_new_and_any_other_edit_does():
    before = ask(parse(minimal()))
    assert ask(parse(minimal(replicas=7))) == before
    assert ask(parse(minimal(limits={"maxQueue": 7}))) != before


def test_a_gateway_may_be_named_again_with_another_section_or_in_another_namespace():
    edge = {"name": "edge", "sectionName": "https"}
    parse(routed(edge, edge | {"sectionName": "http"}, {"name": "edge", "namespace": "infra"}))


@given(st.text(), st.integers(1, 12))
def test_a_short_hash_fits_any_name(text, length):
    found = names.short_hash(text, length)
    assert len(found) == length
    assert set(found) <= set("bcdfghjklmnpqrstvwxz2456789")


@given(
    st.dictionaries(
        st.text(max_size=12), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
    )
)
def test_nonsense_is_refused_and_never_crashes(raw):
    with pytest.raises(InvalidSpec):
        parse(raw)


@pytest.mark.parametrize("name", ["Chat", "chat.one", "1chat", "chat-", "c" * 41, ""])
def test_a_name_that_no_service_could_have_is_refused(name):
    with pytest.raises(InvalidSpec) as caught:
        names.check_model_name(name)
    assert caught.value.path == "metadata.name"


def test_a_taken_name_gets_a_count():
    assert names.fleet("chat", "abc", set()) == "chat-abc"
    assert names.fleet("chat", "abc", {"chat-abc", "chat-abc-2"}) == "chat-abc-3"
