"""Carries out a plan's actions. Each is idempotent or tests what it was decided on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from inference_operator import names
from inference_operator.actions import Action, AnnotatePod, Apply, Delete, Flip, PatchFleet, Verify
from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.cluster.verify import Verifier
from inference_operator.errors import StaleObservation


@dataclass(frozen=True, kw_only=True)
class Executor:
    client: Client
    verifier: Verifier

    async def perform(self, namespace: str, action: Action) -> None:
        """Raises StaleObservation when a precondition fails, Refused or ClusterError when the call does."""
        match action:
            case Apply():
                await self._apply(namespace, action)
            case PatchFleet():
                await self._patch_fleet(namespace, action)
            case Flip():
                await self._flip(namespace, action)
            case AnnotatePod():
                await self._annotate_pod(namespace, action)
            case Delete():
                kind = kinds.BY_NAME[action.kind]
                await self.client.delete(kind, namespace, action.name, uid=action.uid)
            case Verify():
                self.verifier.begin(namespace, action)
            case _:
                assert_never(action)

    async def _apply(self, namespace: str, action: Apply) -> None:
        kind = kinds.BY_NAME[action.manifest["kind"]]
        body = _plain(action.manifest)
        if action.uid:
            body["metadata"]["uid"] = action.uid
            await self.client.apply(kind, namespace, body, force=True)
            return
        name = body["metadata"]["name"]
        if await self.client.get(kind, namespace, name) is not None:
            raise StaleObservation(f"{kind.name} {name} exists already")
        # Unforced: should a stranger's object appear in between, its fields are its own.
        await self.client.apply(kind, namespace, body, force=False)

    async def _patch_fleet(self, namespace: str, action: PatchFleet) -> None:
        meta: Object = {"uid": action.uid, "resourceVersion": action.resource_version}
        if action.annotations:
            meta["annotations"] = dict(action.annotations)
        body: Object = {"metadata": meta}
        if action.replicas is not None:
            body["spec"] = {"replicas": action.replicas}
        await self.client.merge(kinds.DEPLOYMENT, namespace, action.fleet, body)

    async def _flip(self, namespace: str, action: Flip) -> None:
        steps: list[Object] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": action.resource_version}
        ]
        if action.expect:
            steps.append({"op": "test", "path": "/spec/selector", "value": dict(action.expect)})
        steps.append({"op": "add", "path": "/spec/selector", "value": dict(action.selector)})
        await self.client.patch(kinds.SERVICE, namespace, action.service, steps, manager=names.ROUTER)

    async def _annotate_pod(self, namespace: str, action: AnnotatePod) -> None:
        body: Object = {"metadata": {"uid": action.uid, "annotations": dict(action.annotations)}}
        if await self.client.get(kinds.POD, namespace, action.pod) is None:
            return
        await self.client.merge(kinds.POD, namespace, action.pod, body)


def _plain(value: Mapping[str, Any]) -> Object:
    """A deep copy that may be changed."""
    return {key: _copy(item) for key, item in value.items()}


def _copy(item: object) -> object:
    if isinstance(item, Mapping):
        return _plain(item)
    if isinstance(item, list | tuple):
        return [_copy(entry) for entry in item]
    return item
