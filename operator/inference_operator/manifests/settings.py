"""The ConfigMap through which live fields reach the pods of one fleet without a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from inference_operator import names
from inference_operator.manifests.metadata import metadata, seal

if TYPE_CHECKING:
    from inference_operator.observed import Model
    from inference_operator.spec import Spec

KEY = "settings.json"


def settings_text(model: Model, spec: Spec, version: str) -> str:
    """What the server reads: the live sections under their names in the resource."""
    batching, limits, streaming = spec.batching, spec.limits, spec.streaming
    content = {
        "generation": model.generation,
        "activeVersion": version,
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
        "streaming": {
            "heartbeatSeconds": streaming.heartbeat_seconds,
            "bufferTokens": streaming.buffer_tokens,
            "idleTimeoutSeconds": streaming.idle_timeout_seconds,
        },
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
