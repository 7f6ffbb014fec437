"""Streams through a model's active Service, as numbers on its fake pods: where the selector points, there they begin."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Self

import aiohttp

from hack.apiserver.pods import LABEL_FLEET, FakePod, FakePods

GRACE = 5.0
"""Seconds after its order to drain for which a pod still takes new work."""


@dataclass
class FakeTraffic:
    """`async with FakeTraffic(pods, namespace, name):`. An API server that is away changes nothing for it."""

    pods: FakePods
    namespace: str
    service: str
    per_second: float = 20.0
    longest: float = 3.0
    """Seconds that a stream lasts."""
    started: dict[str, int] = field(default_factory=dict)
    """By version."""
    refused: list[str] = field(default_factory=list)
    """Requests that found no pod that takes new work, and why."""

    async def __aenter__(self) -> Self:
        self._fleet = ""
        self._ends: set[asyncio.Task[None]] = set()
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._begin())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._ends)

    async def _follow(self) -> None:
        """Where the selector points, as a proxy on a node would know it."""
        url = f"{self.pods.url}/api/v1/namespaces/{self.namespace}/services/{self.service}"
        headers = {"Authorization": f"Bearer {self.pods.token}"}
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                try:
                    async with session.get(url, ssl=False) as answer:
                        service = await answer.json() if answer.status == 200 else {}
                        selector = service.get("spec", {}).get("selector") or {}
                        self._fleet = selector.get(LABEL_FLEET, self._fleet)
                except (aiohttp.ClientError, TimeoutError, OSError):
                    pass  # it is away: what was known goes on
                await asyncio.sleep(0.05)

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1 / self.per_second)
            if not self._fleet:
                continue  # nothing was ever promoted
            able = [
                pod
                for pod in self.pods.of_fleet(self.namespace, self._fleet)
                if pod.site and (not pod.draining or loop.time() < pod.drained_at + GRACE)
            ]
            if not able:
                self.refused.append(f"fleet {self._fleet} has no pod that takes new work")
                continue
            pod = random.choice(able)  # noqa: S311 - load, no secret
            pod.streams += 1
            self.started[pod.version] = self.started.get(pod.version, 0) + 1
            task = asyncio.create_task(self._end(pod))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _end(self, pod: FakePod) -> None:
        await asyncio.sleep(random.uniform(0.2, self.longest))  # noqa: S311 - likewise
        pod.streams -= 1
