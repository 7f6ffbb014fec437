"""The ConfigMap through which live fields reach the pods of one fleet without a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from inference_operator import names
from inference_operator.manifests.container import place
from inference_operator.manifests.metadata import metadata, seal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inference_operator.observed import ClientKeys, Model
    from inference_operator.spec import Spec
    from inference_operator.spec.live import Client, ClientRateLimit, Streaming
    from inference_operator.weights import Weights

KEY = "settings.json"


def settings_text(
    model: Model,
    spec: Spec,
    version: str,
    *,
    keys: Mapping[str, ClientKeys],
    replicas: int | None = None,
    versions: Sequence[Weights] = (),
) -> str:
    """What the server reads: the live sections under their names in the resource.

    `versions`: what the pods are to hold, where that is not the one of their command line. `replicas`: how many
    pods share the limits, where that is not spec.replicas.
    """
    batching, limits = spec.batching, spec.limits
    content = {
        "generation": model.generation,
        "activeVersion": version,
        **({"versions": [_listed(weights) for weights in versions]} if versions else {}),
        "batching": {
            "maxBatchSize": batching.max_batch_size,
            "maxWaitMs": batching.max_wait_ms,
            "dynamic": batching.dynamic,
            "maxBatchTokens": batching.max_batch_tokens,
        },
        "limits": {
            "maxConnections": limits.max_connections,
            "maxQueue": limits.max_queue,
            "maxTokens": limits.max_tokens,
            "requestTimeoutSeconds": limits.request_timeout_seconds,
        },
        "streaming": _streaming(spec.streaming),
        **_callers(spec, keys, spec.replicas if replicas is None else replicas),
    }
    return json.dumps(content, indent=2) + "\n"


def settings_hash(text: str) -> str:
    """The value of the pods' annotation: patching it makes the kubelet refresh the file at once."""
    return names.short_hash(text)


def settings(model: Model, *, fleet: str, revision: str, text: str) -> dict[str, Any]:
    labels = names.fleet_labels(model.name, fleet, revision)
    return seal(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(model, names.settings(fleet), labels, {}),
            "data": {KEY: text},
        }
    )


def _streaming(streaming: Streaming) -> dict[str, Any]:
    found = {
        "heartbeatSeconds": streaming.heartbeat_seconds,
        "bufferTokens": streaming.buffer_tokens,
        "idleTimeoutSeconds": streaming.idle_timeout_seconds,
        "resumeWindowSeconds": streaming.resume_window_seconds,
    }
    return _given(found)


def _listed(weights: Weights) -> dict[str, Any]:
    """One version, found where the pod sees it."""
    return msgspec.to_builtins(weights) | {"uri": place(weights.uri)}  # type: ignore[no-any-return]


def _callers(spec: Spec, keys: Mapping[str, ClientKeys], replicas: int) -> dict[str, Any]:
    """Limits for each caller. `replicas`: every pod allows its share, by the size asked for.

    A client whose Secret has no key stays in the list without one: to leave it out could open the model to all.
    """
    if spec.rate_limit is None and not spec.clients:
        return {}
    limit = spec.rate_limit
    shared = {"replicas": max(replicas, 1)}
    common = {"rateLimit": _limit(limit) | {"key": limit.key}} if limit else {}
    own = [_client(client, keys[client.name].digests) for client in spec.clients]
    return shared | common | ({"clients": own} if own else {})


def _client(client: Client, digests: tuple[str, ...]) -> dict[str, Any]:
    limit = {"rateLimit": _limit(client.rate_limit)} if client.rate_limit else {}
    return {"name": client.name, "keySha256": list(digests), "priority": client.priority, **limit}


def _limit(limit: ClientRateLimit) -> dict[str, Any]:
    found = {
        "requestsPerMinute": limit.requests_per_minute,
        "tokensPerMinute": limit.tokens_per_minute,
        "burst": limit.burst,
    }
    return _given(found)


def _given(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is set; the server has its own default for the rest."""
    return {key: value for key, value in found.items() if value is not None}
