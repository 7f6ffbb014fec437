"""The NetworkPolicy of a model's pods: who may connect to them, and where they may connect to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names
from inference_operator.manifests.metadata import metadata, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_operator.observed import Model

DNS: dict[str, Any] = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
ANY_TCP: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": 1, "endPort": 65535}]}


def network_policy(
    model: Model, *, allow_from: Sequence[dict[str, Any]], operator_namespace: str, downloads: bool
) -> dict[str, Any]:
    """In: the http port alone, from everywhere or from `allow_from` and the operator. Out: DNS, and TCP for downloads.

    Policies only ever add up, so whoever needs more adds one of their own.
    """
    peers = [*allow_from, *_operator(operator_namespace)] if allow_from else []
    ingress = {"ports": [{"protocol": "TCP", "port": "http"}]} | ({"from": peers} if peers else {})
    name = names.network_policy(model.name)
    return seal(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(model, name, names.model_labels(model.name), {}),
            "spec": {
                "podSelector": {"matchLabels": {names.LABEL_MODEL: model.name}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [ingress],
                "egress": [DNS, ANY_TCP] if downloads else [DNS],
            },
        }
    )


def _operator(namespace: str) -> list[dict[str, Any]]:
    """It asks pods for their streams; where its namespace is not known, it must be among those named."""
    if not namespace:
        return []
    return [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}]
