"""The NetworkPolicy of a model: narrow where the operator knows enough, and gone where nobody wants it."""

from __future__ import annotations

import pytest

from inference_operator.plan import plan
from tests.operator.model_cluster import ModelCluster, describe, spec

LOCAL = {"model": {"uri": "pvc://weights/llama", "version": "1.0.0"}}
KEY = ("NetworkPolicy", "chat-pods")


def policy(cluster):
    return cluster.children[KEY].content["spec"]


def settled(wanted):
    cluster = ModelCluster(wanted)
    cluster.settle()
    return cluster


def ports(rules):
    return [(port["protocol"], port["port"], port.get("endPort")) for rule in rules for port in rule["ports"]]


def test_everyone_may_connect_to_the_http_port_and_to_no_other():
    rules = policy(settled(spec()))["ingress"]
    assert ports(rules) == [("TCP", "http", None)]
    assert all("from" not in rule for rule in rules)


def test_named_peers_and_the_operator_may_connect_and_nobody_else():
    peer = {"ipBlock": {"cidr": "192.0.2.0/24"}}
    (rule,) = policy(settled(spec(service={"allowFrom": [peer]})))["ingress"]
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "system"}}}
    assert rule["from"] == [peer, operator]


@pytest.mark.parametrize(
    ("uri", "downloads"),
    [("hf://org/model", True), ("pvc://weights/llama", False), ("file:///weights", False)],
)
def test_pods_connect_to_others_only_when_they_download_their_weights(uri, downloads):
    rules = policy(settled(spec(model={"uri": uri, "version": "1"})))["egress"]
    assert ports(rules)[:2] == [("UDP", 53, None), ("TCP", 53, None)]
    assert (("TCP", 1, 65535) in ports(rules)) is downloads


def test_downloads_stay_allowed_while_a_fleet_of_an_earlier_revision_runs():
    cluster = settled(spec())
    cluster.open_streams(1)
    cluster.edit(spec() | LOCAL)
    for _ in range(12):
        cluster.round()
        assert len(policy(cluster)["egress"]) == 2
    cluster.finish_streams()
    cluster.settle()
    assert len(policy(cluster)["egress"]) == 1


def test_an_operator_that_is_told_so_takes_its_policies_away():
    cluster = settled(spec())
    cluster.network_policies = False
    cluster.settle()
    assert KEY not in cluster.children
    assert describe_all(cluster) == []


def test_a_strangers_policy_of_that_name_is_a_conflict_and_is_never_touched():
    cluster = ModelCluster()
    cluster.foreign(*KEY)
    assert plan(cluster.observe()).status["phase"] == "Conflict"
    assert describe_all(cluster) == []
    cluster.network_policies = False
    assert f"delete {KEY[0]} {KEY[1]}" not in describe_all(cluster)
    assert plan(cluster.observe()).status["phase"] != "Conflict"


def describe_all(cluster):
    return [describe(action) for action in plan(cluster.observe()).actions]
