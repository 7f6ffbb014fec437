"""The pod's volumes, and where the container sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names

if TYPE_CHECKING:
    from inference_operator.spec import Spec

SETTINGS = "/etc/realtime-serve"
PODINFO = "/etc/podinfo"
CACHE = "/cache"
MODELS = "/models"


def volumes(spec: Spec, fleet: str) -> list[dict[str, Any]]:
    annotations = {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}
    found: list[dict[str, Any]] = [
        {"name": "settings", "configMap": {"name": names.settings(fleet)}},
        {"name": "podinfo", "downwardAPI": {"items": [annotations]}},
        {"name": "cache", **_cache(spec)},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    ]
    if claim := _claim(spec):
        found.append({"name": "models", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    return found


def mounts(spec: Spec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "settings", "mountPath": SETTINGS, "readOnly": True},
        {"name": "podinfo", "mountPath": PODINFO, "readOnly": True},
        {"name": "cache", "mountPath": CACHE},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of this pod alone
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - likewise
    ]
    if _claim(spec):
        found.append({"name": "models", "mountPath": MODELS, "readOnly": True})
    return found


def _cache(spec: Spec) -> dict[str, Any]:
    cache = spec.model.cache
    if cache.claim_name:
        return {"persistentVolumeClaim": {"claimName": cache.claim_name}}
    return {"emptyDir": {"sizeLimit": cache.size_limit} if cache.size_limit else {}}


def _claim(spec: Spec) -> str:
    """The claim that a pvc:// model lies on; empty for other sources."""
    if spec.model.scheme != "pvc":
        return ""
    return spec.model.uri.removeprefix("pvc://").partition("/")[0]
