"""What every manifest of ours has: labels, the owner, and a seal that tells whether it is applied as it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from inference_operator import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_operator.observed import Model


def metadata(
    model: Model, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": model.namespace,
        "labels": dict(labels),
        "annotations": dict(annotations),
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": model.name,
                "uid": model.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def seal(manifest: dict[str, Any]) -> dict[str, Any]:
    """Add the manifest's own hash as an annotation."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    manifest["metadata"]["annotations"][names.APPLIED] = names.short_hash(text)
    return manifest


def in_sync(manifest: Any, content: Any) -> bool:
    """All that the manifest says stands in the object, whatever else the API server or others put there.

    The seal is among it, so a manifest that says less than the one applied before is not in sync either.
    """
    if isinstance(manifest, dict):
        return isinstance(content, dict) and all(
            key in content and in_sync(value, content[key]) for key, value in manifest.items()
        )
    if isinstance(manifest, list):
        return isinstance(content, list) and all(
            any(in_sync(item, other) for other in content) for item in manifest
        )
    return bool(manifest == content)
