"""One look at all models at once, in a handful of requests: what is asked of each, and which versions its objects have."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inference_operator import names
from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object, Page
from inference_operator.cluster.fingerprint import Edition, edition, fingerprint
from inference_operator.cluster.kinds import Kind
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
        owned: defaultdict[Place, list[Edition]] = defaultdict(list)
        for kind in _KINDS:
            async for page in self._pages(kind, namespace, names.LABEL_MODEL):
                for found in page:
                    owned[_place(found)].append(edition(found))
        streams = await self._streams(namespace, owned)
        return {
            (place := _own_place(model)): Sighting(fingerprint(model, owned[place]), streams[place])
            async for page in self._pages(kinds.MODEL, namespace)
            for model in page
        }

    def _pages(self, kind: Kind, namespace: str, labels: str = "") -> AsyncIterator[Page]:
        """Metadata alone. Nobody keeps a page: managed fields make thousands of objects heavy."""
        return self.client.pages(kind, namespace, labels=labels, only_metadata=True)

    async def _streams(
        self, namespace: str, owned: defaultdict[Place, list[Edition]]
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
                owned[_place(pod)].append(edition(pod))
            await asyncio.gather(*map(ask, page))
        return total


def _place(found: Object) -> Place:
    meta = found["metadata"]
    return meta["namespace"], meta["labels"][names.LABEL_MODEL]


def _own_place(model: Object) -> Place:
    return model["metadata"]["namespace"], model["metadata"]["name"]
