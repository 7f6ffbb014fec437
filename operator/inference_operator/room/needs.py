"""What a pod asks of a node and of a quota. Pure; a pod is the mapping that stands in its `spec`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from inference_operator.room.quantity import Amounts, add, largest, parse_amounts

PodSpec = Mapping[str, Any]


def requests(pod: PodSpec) -> dict[str, Decimal]:
    """What the scheduler reserves: a limit stands in for a request that is left out; one pod counts as one of `pods`.

    Init containers run one by one before the others, sidecars beside all that start after them (KEP-753).
    """
    return add(_effective(pod, "requests"), {"pods": Decimal(1)})


def charges(pod: PodSpec) -> dict[str, Decimal]:
    """What a ResourceQuota counts, under the names that quotas use."""
    asked, limits = _effective(pod, "requests"), _effective(pod, "limits")
    bare = {
        resource: asked[resource] for resource in ("cpu", "memory", "ephemeral-storage") if resource in asked
    }
    return {
        **bare,
        **{f"requests.{resource}": amount for resource, amount in asked.items()},
        **{f"limits.{resource}": amount for resource, amount in limits.items()},
        "pods": Decimal(1),
        "count/pods": Decimal(1),
    }


def _effective(pod: PodSpec, kind: str) -> dict[str, Decimal]:
    sidecars: dict[str, Decimal] = {}
    starting: dict[str, Decimal] = {}
    for container in pod.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            sidecars = add(sidecars, _asked(container, kind))
            starting = largest(starting, sidecars)
        else:
            starting = largest(starting, add(sidecars, _asked(container, kind)))
    running = sidecars
    for container in pod.get("containers") or ():
        running = add(running, _asked(container, kind))
    return add(largest(starting, running), parse_amounts(pod.get("overhead") or {}))


def _asked(container: Mapping[str, Any], kind: str) -> Amounts:
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    if kind == "limits":
        return parse_amounts(limits)
    return parse_amounts({**limits, **(resources.get("requests") or {})})
