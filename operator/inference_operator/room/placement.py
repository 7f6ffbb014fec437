"""Whether a node takes a pod at all: selectors, required affinity, taints. Pure.

The rules are those of kube-scheduler's filters NodeAffinity, TaintToleration and NodeUnschedulable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inference_operator.room.needs import PodSpec
from inference_operator.room.picture import Node

_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def refusal(node: Node, pod: PodSpec) -> str:
    """Why this node takes no such pod however much is free ("lacks label x=y"); empty when it does."""
    tolerations = pod.get("tolerations") or ()
    if node.unschedulable and not _tolerated(_CORDONED, tolerations):
        return "is cordoned"
    for taint in node.taints:
        if taint.get("effect") in {"NoSchedule", "NoExecute"} and not _tolerated(taint, tolerations):
            return f"has taint {_taint(taint)}"
    for key, value in (pod.get("nodeSelector") or {}).items():
        if node.labels.get(key) != value:
            return f"lacks label {key}={value}"
    if terms := _required_terms(pod):
        return _affinity_refusal(node, terms)
    return ""


def _required_terms(pod: PodSpec) -> Sequence[Mapping[str, Any]]:
    node_affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms: Sequence[Mapping[str, Any]] = required.get("nodeSelectorTerms") or ()
    return terms


def _affinity_refusal(node: Node, terms: Sequence[Mapping[str, Any]]) -> str:
    """One term is enough; in it, everything must hold. An empty term matches nothing."""
    reasons = []
    for term in terms:
        labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
        unmet = [rule for rule in labels if not _matches(node.labels, rule)]
        unmet += [rule for rule in fields if not _matches({"metadata.name": node.name}, rule)]
        if (labels or fields) and not unmet:
            return ""
        reasons += [_rule(rule) for rule in unmet[:1]] or ["an affinity term that matches nothing"]
    return f"does not match affinity {' or '.join(reasons)}"


def _matches(labels: Mapping[str, str], rule: Mapping[str, Any]) -> bool:
    found, values = labels.get(rule.get("key", "")), rule.get("values") or ()
    check = _OPERATORS.get(rule.get("operator", ""))
    return check is not None and check(found, values)


def _compared(found: str | None, values: Sequence[str], *, above: bool) -> bool:
    try:
        have, bound = int(found or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return have > bound if above else have < bound


_OPERATORS: Mapping[str, Callable[[str | None, Sequence[str]], bool]] = {
    "In": lambda found, values: found is not None and found in values,
    "NotIn": lambda found, values: found not in values,
    "Exists": lambda found, _: found is not None,
    "DoesNotExist": lambda found, _: found is None,
    "Gt": lambda found, values: _compared(found, values, above=True),
    "Lt": lambda found, values: _compared(found, values, above=False),
}


def _tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            same = (toleration.get("value") or "") == (taint.get("value") or "")
            return bool(toleration.get("key")) and same
    return False


def _taint(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def _rule(rule: Mapping[str, Any]) -> str:
    values = ",".join(str(value) for value in rule.get("values") or ())
    return f"{rule.get('key')} {rule.get('operator')} {values}".strip()
