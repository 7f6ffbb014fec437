"""The nodes and quotas as they stand, with what runs on them. Pure data, read from the API's objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from inference_operator.room.needs import requests
from inference_operator.room.quantity import Amounts, add, parse_amounts

Object = Mapping[str, Any]

_ENDED = {"Succeeded", "Failed"}
_OUR_SCOPES = {"NotTerminating", "NotBestEffort"}
"""Of a quota's scopes those that a serving pod with requests falls under."""
_AUTOSCALERS = ("karpenter.sh/", "cluster-autoscaler.kubernetes.io/")
"""Labels and annotations by which nodes are known to be made for pods that wait."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    name: str
    allocatable: Amounts
    used: Amounts = field(default_factory=dict)
    """Requests of the pods on it that have not ended."""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, Any]] = ()
    unschedulable: bool = False
    autoscaled: bool = False
    """Made by an autoscaler, by what it bears."""

    def free(self, resource: str) -> Decimal:
        return self.allocatable.get(resource, Decimal(0)) - self.used.get(resource, Decimal(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """A ResourceQuota of the namespace that counts pods like ours."""

    name: str
    hard: Amounts
    used: Amounts = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    nodes: tuple[Node, ...]
    quotas: tuple[Quota, ...] = ()
    nodes_come: bool = False
    """Pods that wait make nodes come, so what lacks on nodes is no reason to hold pods back."""


def read_room(
    nodes: Iterable[Object], pods: Iterable[Object], quotas: Iterable[Object], *, nodes_come: bool = False
) -> Room:
    """`pods` are those of all namespaces. Raises ValueError when an object holds what is no quantity."""
    used: dict[str, dict[str, Decimal]] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName", "")
        if node and (pod.get("status") or {}).get("phase") not in _ENDED:
            used[node] = add(used.get(node, {}), requests(pod["spec"]))
    found = tuple(_node(content, used.get(content["metadata"]["name"], {})) for content in nodes)
    return Room(
        nodes=found,
        quotas=tuple(_quota(content) for content in quotas if _counts_us(content)),
        nodes_come=nodes_come or any(node.autoscaled for node in found),
    )


def _node(content: Object, used: Amounts) -> Node:
    meta, spec = content["metadata"], content.get("spec") or {}
    marks = [*(meta.get("labels") or ()), *(meta.get("annotations") or ())]
    return Node(
        name=meta["name"],
        allocatable=parse_amounts((content.get("status") or {}).get("allocatable") or {}),
        used=used,
        labels=meta.get("labels") or {},
        taints=spec.get("taints") or (),
        unschedulable=bool(spec.get("unschedulable")),
        autoscaled=any(mark.startswith(_AUTOSCALERS) for mark in marks),
    )


def _quota(content: Object) -> Quota:
    status = content.get("status") or {}
    hard = status.get("hard") or (content.get("spec") or {}).get("hard") or {}
    return Quota(
        name=content["metadata"]["name"],
        hard=parse_amounts(hard),
        used=parse_amounts(status.get("used") or {}),
    )


def _counts_us(content: Object) -> bool:
    """Quotas chosen by priority class are left out: admission may still refuse, and the Deployment says so."""
    spec = content.get("spec") or {}
    return not spec.get("scopeSelector") and set(spec.get("scopes") or ()) <= _OUR_SCOPES
