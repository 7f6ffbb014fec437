"""The pre-flight check: what would fit beside what runs, and what lacks where."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.room import Node, Quota, Room, fit, read_room
from inference_operator.room.needs import charges, requests
from inference_operator.room.quantity import parse_amounts, parse_quantity, show

GPU = "nvidia.com/gpu"
TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def node(name="a", *, gpu="2", pods="110", used=None, **more):
    allocatable = parse_amounts({"cpu": "8", "memory": "32Gi", GPU: gpu, "pods": pods})
    return Node(name=name, allocatable=allocatable, used=parse_amounts(used or {}), **more)


def pod(gpu="1", **more):
    resources = {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {GPU: gpu}}
    return {"containers": [{"name": "server", "resources": resources}], **more}


def lacks(nodes, template=None, count=1, quotas=()):
    found = fit(Room(nodes=tuple(nodes), quotas=tuple(quotas)), template or pod(), count)
    assert found.fits == (found.lacks == "")
    return found.lacks


def test_a_pod_fits_where_everything_it_asks_for_is_free():
    assert lacks([node()], count=2) == ""


def test_pods_that_run_leave_only_the_rest():
    assert lacks([node(used={GPU: "2"})]) == (
        "1 pod needs 1 cpu, 4Gi memory, 1 nvidia.com/gpu: node a has 0 of 2 nvidia.com/gpu free"
    )


def test_pods_may_spread_over_nodes_but_none_is_cut_in_two():
    assert lacks([node("a"), node("b")], count=4) == ""
    assert lacks([node("a"), node("b")], pod(gpu="2"), count=2) == ""
    assert "there is room for 0" not in lacks([node("a", gpu="1"), node("b", gpu="1")], pod(gpu="2"))
    assert "and there is room for 2: 2 nodes (a, b) each have" in lacks(
        [node("a", gpu="1", used={}), node("b", gpu="1")], count=3
    )


def test_the_sentence_tells_of_every_node_why_it_takes_none():
    nodes = [
        node("a", used={GPU: "2"}),
        node("b"),
        node("c", labels={"accelerator": "h200"}, taints=(TAINT,)),
        node("d", labels={"accelerator": "h200"}, unschedulable=True),
    ]
    told = lacks(nodes, pod(nodeSelector={"accelerator": "h200"}))
    assert told.endswith(
        ": 2 nodes (a, b) lack label accelerator=h200, node c has taint gpu=yes:NoSchedule, node d is cordoned"
    )


def test_many_reasons_are_cut_short():
    nodes = [node(f"n{i}", taints=({"key": f"k{i}", "effect": "NoSchedule"},)) for i in range(9)]
    assert lacks(nodes).endswith("node n3 has taint k3:NoSchedule, and 5 more nodes have no room either")


def test_a_cluster_without_nodes_has_no_room():
    assert lacks([]).endswith(": the cluster has no node")


@pytest.mark.parametrize(
    ("toleration", "good"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"value": "yes"}, False),
    ],
)
def test_a_taint_must_be_tolerated(toleration, good):
    assert (lacks([node(taints=(TAINT,))], pod(tolerations=[toleration])) == "") == good


def test_a_taint_that_only_prefers_bars_nobody():
    assert lacks([node(taints=({"key": "k", "effect": "PreferNoSchedule"},))]) == ""


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        ({"key": "zone", "operator": "In", "values": ["x", "y"]}, True),
        ({"key": "zone", "operator": "In", "values": ["x"]}, False),
        ({"key": "zone", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "none", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "zone", "operator": "Exists"}, True),
        ({"key": "none", "operator": "Exists"}, False),
        ({"key": "none", "operator": "DoesNotExist"}, True),
        ({"key": "zone", "operator": "DoesNotExist"}, False),
        ({"key": "size", "operator": "Gt", "values": ["4"]}, True),
        ({"key": "size", "operator": "Lt", "values": ["4"]}, False),
        ({"key": "zone", "operator": "Gt", "values": ["4"]}, False),
        ({"key": "zone", "operator": "Unheard", "values": ["4"]}, False),
    ],
)
def test_required_affinity_must_match(rule, good):
    needs = {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [rule]}]
        }
    }
    told = lacks([node(labels={"zone": "y", "size": "8"})], pod(affinity={"nodeAffinity": needs}))
    assert (told == "") == good
    assert good or "node a does not match affinity" in told


def test_one_affinity_term_is_enough_and_an_empty_one_matches_nothing():
    def asked(*terms):
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
        return pod(affinity={"nodeAffinity": required})

    there = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    assert lacks([node("a"), node("b")], asked({}, there), count=2) == ""
    assert lacks([node("a")], asked({})) != ""


def test_a_quota_is_told_before_the_nodes():
    quota = Quota(
        name="team", hard=parse_amounts({f"requests.{GPU}": 2}), used=parse_amounts({f"requests.{GPU}": 2})
    )
    assert lacks([node()], quotas=[quota]) == (
        "1 pod needs 1 requests.nvidia.com/gpu, ResourceQuota team has 0 of 2 left"
    )


def test_a_quota_on_what_the_pod_does_not_say_refuses_it():
    quota = Quota(name="team", hard=parse_amounts({"limits.memory": "1Ti"}))
    assert "wants limits.memory of every pod" in lacks([node()], quotas=[quota])


def test_a_quota_counts_pods():
    quota = Quota(name="team", hard=parse_amounts({"pods": 3}), used=parse_amounts({"pods": 2}))
    assert lacks([node()], quotas=[quota]) == ""
    assert (
        lacks([node()], count=2, quotas=[quota]) == "2 pods need 2 pods, ResourceQuota team has 1 of 3 left"
    )


def test_init_containers_count_by_their_largest_and_sidecars_stay():
    def box(cpu, **more):
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [box("4"), box("1", restartPolicy="Always"), box("2")],
        "containers": [box("1"), box("500m")],
        "overhead": {"cpu": "250m"},
    }
    assert requests(spec)["cpu"] == Decimal("4.25")
    assert charges(spec)["requests.cpu"] == charges(spec)["cpu"] == Decimal("4.25")
    spec["containers"].append(box("3"))
    assert requests(spec)["cpu"] == Decimal("5.75")


def api_node(name, **meta):
    status = {"allocatable": {"cpu": "7910m", "memory": "32Gi", GPU: "1", "pods": "110"}}
    return {"metadata": {"name": name, **meta}, "spec": {}, "status": status}


def api_pod(node_name, phase="Running"):
    return {"spec": pod() | {"nodeName": node_name}, "status": {"phase": phase}}


def test_the_picture_counts_pods_that_have_not_ended_on_their_nodes():
    pods = [api_pod("a"), api_pod("b", "Succeeded"), api_pod("")]
    room = read_room([api_node("a"), api_node("b")], pods, [])
    assert [one.free(GPU) for one in room.nodes] == [0, 1]
    assert room.nodes[0].free("pods") == 109
    assert not room.nodes_come


def test_nodes_that_an_autoscaler_made_are_known():
    room = read_room([api_node("a", labels={"karpenter.sh/nodepool": "gpu"})], [api_pod("a")], [])
    assert fit(room, pod(), 1).more_nodes_help
    full = Quota(name="team", hard=parse_amounts({"pods": 0}))
    assert not fit(Room(nodes=room.nodes, quotas=(full,), nodes_come=True), pod(), 1).more_nodes_help


def test_only_quotas_that_count_serving_pods_are_read():
    def quota(name, **spec):
        return {"metadata": {"name": name}, "spec": {"hard": {"pods": "1"}, **spec}}

    quotas = [
        quota("all"),
        quota("long", scopes=["NotTerminating"]),
        quota("jobs", scopes=["Terminating"]),
        quota("vip", scopeSelector={"matchExpressions": []}),
    ]
    assert [one.name for one in read_room([], [], quotas).quotas] == ["all", "long"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100m", "0.1"),
        ("2", "2"),
        (2, "2"),
        ("16Gi", 16 * 1024**3),
        ("1e3", "1000"),
        ("5k", "5000"),
        (0.5, "0.5"),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text, number):
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "Gi", "much", "NaN", "inf"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


def test_amounts_are_shown_as_people_write_them():
    assert show("memory", parse_quantity("1536Mi")) == "1.5Gi"
    assert show("cpu", parse_quantity("250m")) == "0.25"
    assert show("requests.memory", Decimal(0)) == "0"


@given(
    free=st.lists(st.integers(0, 8), max_size=6),
    size=st.integers(1, 4),
    count=st.integers(1, 12),
)
def test_what_fits_can_really_be_placed_and_what_does_not_cannot(free, size, count):
    """Oracle: placing pods one by one onto whichever node still takes one."""
    nodes = [node(f"n{i}", gpu=str(n)) for i, n in enumerate(free)]
    left, placed = list(free), 0
    for i in range(len(left)):
        while left[i] >= size and placed < count and (4 * ((free[i] - left[i]) // size + 1)) <= 32:
            left[i] -= size
            placed += 1
    found = fit(Room(nodes=tuple(nodes)), pod(gpu=str(size)), count)
    assert found.fits == (placed >= count)
    assert found.fits or f"room for {placed}" in found.lacks or placed == 0
