"""One look at all models at once, in a handful of requests: what is asked of each, and which versions its objects have."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from inference_operator import names
from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.cluster.fingerprint import fingerprint
from inference_operator.cluster.pods import PodReader

AT_ONCE = 64
"""Pods that are asked at the same time."""
PODS_OF_ONE_PAGE = 100
"""Whole pods are big, and only their addresses are wanted."""
_KINDS = (kinds.DEPLOYMENT, *kinds.CHILDREN)


class Sighting(NamedTuple):
    fingerprint: str
    streams: int
    """Active, of the pods that answer."""


Place = tuple[str, str]
"""Namespace and model."""


@dataclass(frozen=True, kw_only=True)
class Surveyor:
    client: Client
    pods: PodReader
    namespaces: Sequence[str] = ()
    """Empty: all."""

    async def look(self) -> dict[Place, Sighting]:
        """Every model that there is. Raises ClusterError."""
        found: dict[Place, Sighting] = {}
        for namespace in self.namespaces or ("",):
            found |= await self._look(namespace)
        return found

    async def _look(self, namespace: str) -> dict[Place, Sighting]:
        # The models last: one that is made meanwhile is then seen with too little, never passed over.
        owned: defaultdict[Place, list[Mapping[str, Any]]] = defaultdict(list)
        for kind in _KINDS:
            for found in await self.client.list(
                kind, namespace, labels=names.LABEL_MODEL, only_metadata=True
            ):
                owned[_place(found)].append(found)
        streams = await self._streams(namespace, owned)
        models = await self.client.list(kinds.MODEL, namespace, only_metadata=True)
        return {
            (place := _own_place(model)): Sighting(fingerprint(model, owned[place]), streams[place])
            for model in models
        }

    async def _streams(
        self, namespace: str, owned: defaultdict[Place, list[Mapping[str, Any]]]
    ) -> defaultdict[Place, int]:
        """Ask all pods, page by page; notes the pods in `owned` too."""
        total: defaultdict[Place, int] = defaultdict(int)
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(pod: Object) -> None:
            async with room:
                report = await self.pods.read(pod)
            total[_place(pod)] += report.streams.active if report else 0

        pages = self.client.pages(kinds.POD, namespace, labels=names.LABEL_MODEL, size=PODS_OF_ONE_PAGE)
        async for page in pages:
            for pod in page:
                meta = pod["metadata"]
                versions = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
                owned[_place(pod)].append({"metadata": versions})
            await asyncio.gather(*map(ask, page))
        return total


def _place(found: Object) -> Place:
    meta = found["metadata"]
    return meta["namespace"], meta["labels"][names.LABEL_MODEL]


def _own_place(model: Object) -> Place:
    return model["metadata"]["namespace"], model["metadata"]["name"]
