"""How many pods of one kind fit beside what runs, and in one sentence what lacks where. Pure.

Pods of one template are alike, so the sum over nodes of what each could take is exact, where the template asks for
nothing of other pods (anti-affinity, spread) and its volumes go anywhere. That is left to the scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from inference_operator.room.needs import PodSpec, charges, requests
from inference_operator.room.picture import Node, Quota, Room
from inference_operator.room.placement import refusal
from inference_operator.room.quantity import Amounts, show

_MUST_BE_SAID = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}
"""A quota on one of these refuses pods that do not say it."""
NODES_NAMED = 4
"""Nodes with the same lack are told together, and no more reasons than this."""


@dataclass(frozen=True, slots=True)
class Fit:
    fits: bool
    lacks: str = ""
    """Empty when it fits; else a sentence without its full stop."""
    more_nodes_help: bool = False
    """What lacks is on nodes, and nodes come for pods that wait."""


def fit(room: Room, pod: PodSpec, count: int) -> Fit:
    """Whether `count` more such pods would run. Raises ValueError when the pod asks for what is no quantity."""
    for quota in room.quotas:
        if lack := _quota_lack(quota, charges(pod), count):
            return Fit(fits=False, lacks=lack)
    needs = requests(pod)
    takes = {node.name: 0 if refusal(node, pod) else _capacity(node, needs) for node in room.nodes}
    if (total := sum(takes.values())) >= count:
        return Fit(fits=True)
    return Fit(fits=False, lacks=_node_lack(room, pod, count, total), more_nodes_help=room.nodes_come)


def _capacity(node: Node, needs: Amounts) -> int:
    """How many such pods this node has room for."""
    return min(
        (max(int(node.free(resource) // amount), 0) for resource, amount in needs.items() if amount > 0),
        default=0,
    )


def _quota_lack(quota: Quota, needs: Amounts, count: int) -> str:
    for resource, hard in quota.hard.items():
        if resource in _MUST_BE_SAID and resource not in needs:
            return (
                f"ResourceQuota {quota.name} wants {resource} of every pod; set it in spec.server.resources"
            )
        need, left = needs.get(resource, Decimal(0)) * count, hard - quota.used.get(resource, Decimal(0))
        if need > left:
            verb = "needs" if count == 1 else "need"
            has = f"ResourceQuota {quota.name} has {show(resource, left)} of {show(resource, hard)} left"
            return f"{_pods(count)} {verb} {show(resource, need)} {resource}, {has}"
    return ""


def _node_lack(room: Room, pod: PodSpec, count: int, total: int) -> str:
    needs = requests(pod)
    asked = ", ".join(
        f"{show(resource, amount)} {resource}"
        for resource, amount in sorted(needs.items())
        if amount > 0 and resource != "pods"
    )
    verb = "needs" if count == 1 else "need"
    each = " each" if count > 1 and asked else ""
    wanted = f"{_pods(count)} {verb} {asked or 'a place'}{each}"
    some = f" and there is room for {total}" if total else ""
    return f"{wanted}{some}: {_by_node(room, pod, needs)}"


def _by_node(room: Room, pod: PodSpec, needs: Amounts) -> str:
    if not room.nodes:
        return "the cluster has no node"
    alike: dict[str, list[str]] = {}
    for node in room.nodes:
        alike.setdefault(refusal(node, pod) or _shortage(node, needs), []).append(node.name)
    told = [_told(names, reason) for reason, names in list(alike.items())[:NODES_NAMED]]
    left = sum(len(names) for names in list(alike.values())[NODES_NAMED:])
    return ", ".join([*told, *([f"and {left} more nodes have no room either"] if left else [])])


def _told(names: list[str], reason: str) -> str:
    if len(names) == 1:
        return f"node {names[0]} {reason}"
    shown = ", ".join(names[:NODES_NAMED]) + (", ..." if len(names) > NODES_NAMED else "")
    plural = {"has": "each have", "lacks": "lack", "is": "are", "does": "do"}
    verb, _, rest = reason.partition(" ")
    return f"{len(names)} nodes ({shown}) {plural.get(verb, verb)} {rest}"


def _shortage(node: Node, needs: Amounts) -> str:
    """Of the resources that run out first, the one that lacks most."""
    short = {resource: node.free(resource) / amount for resource, amount in needs.items() if amount > 0}
    resource = min(sorted(short), key=lambda name: short[name])
    free, total = max(node.free(resource), Decimal(0)), node.allocatable.get(resource, Decimal(0))
    return f"has {show(resource, free)} of {show(resource, total)} {resource} free"


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
