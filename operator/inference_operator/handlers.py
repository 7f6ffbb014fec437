"""kopf as an event source: what happens to a model or to one of its children becomes a key.

Only `on.event` handlers exist: kopf then writes no finalizer and no annotation, and keeps no state that could go stale.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from inference_operator import names
from inference_operator.controller.key import Key

CHILDREN = (
    ("apps", "v1", "deployments"),
    ("", "v1", "pods"),
    ("", "v1", "services"),
    ("", "v1", "configmaps"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "networkpolicies"),
    ("discovery.k8s.io", "v1", "endpointslices"),
)
"""(group, version, plural). EndpointSlices carry the labels of their Service."""

LISTED_AT_ONCE = 50
"""Objects of one kind."""
IDLE = 0.1
"""Seconds that kopf keeps the last event of an object, for the next one to come to the same task."""


def make_registry(tell: Callable[[Key], None], end: Callable[[], None]) -> kopf.OperatorRegistry:
    """Handlers that tell whose model to look at; `end` is called when kopf has begun to end."""
    registry = kopf.OperatorRegistry()

    async def model_changed(body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
        seen = memo.get("asked")
        memo["asked"] = asked = _asked(body)
        if asked != seen:
            tell(Key(body["metadata"]["namespace"], body["metadata"]["name"]))

    async def child_changed(body: kopf.Body, **_: Any) -> None:
        model = body["metadata"]["labels"][names.LABEL_MODEL]
        tell(Key(body["metadata"]["namespace"], model))

    async def log_in(**context: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**context) or kopf.login_with_kubeconfig(**context)

    async def ending(**_: Any) -> None:
        end()

    kopf.on.login(registry=registry)(log_in)
    kopf.on.cleanup(registry=registry)(ending)
    kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)(model_changed)
    for group, version, plural in CHILDREN:
        labels: dict[str, Any] = {names.LABEL_MODEL: kopf.PRESENT}
        kopf.on.event(group, version, plural, labels=labels, registry=registry)(child_changed)
    return registry


def make_settings(*, clusterwide: bool) -> kopf.OperatorSettings:
    """No peering, no events from log lines, and no watch that could stay silent for long."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    # Kinds of Kubernetes never change, and our own is there before we are: nothing to scan for.
    settings.scanning.disabled = not clusterwide
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    # Whole objects are listed, of which we read the labels: what kopf holds of them at once is what a restart costs.
    settings.watching.chunk_size = LISTED_AT_ONCE
    settings.queueing.idle_timeout = IDLE
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.process.ultimate_exiting_timeout = (
        None  # else a kopf that broke kills all of us ten minutes later
    )
    # An API server that comes back is heard again after 5 s at most; after two minutes kopf ends, and is begun anew.
    settings.networking.error_backoffs = (1, 1, 2, 3, *[5] * 24)
    for group, version, plural in CHILDREN:
        settings.watching.label_selectors[group, version, plural] = names.LABEL_MODEL
    return settings


def _asked(body: Mapping[str, Any]) -> str:
    """All of a model but its status, which we write ourselves: an answer must not be heard as a question."""
    meta = body["metadata"]
    asked = (
        meta["uid"],
        meta.get("generation"),
        meta.get("annotations") or {},
        meta.get("deletionTimestamp"),
    )
    return json.dumps(asked, sort_keys=True, default=str)
