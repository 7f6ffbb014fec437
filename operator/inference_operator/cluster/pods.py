"""What pods say of themselves: GET /status. A pod that does not answer is unknown, never idle."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from inference_operator.reports import PodReport

PORT = 8000
TIMEOUT = aiohttp.ClientTimeout(total=3)
LARGEST = 1 << 20
"""Bytes of a report; a longer one is not ours."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PodReader:
    """Asks pods over one connection pool; `close` it."""

    port: int = PORT
    session: aiohttp.ClientSession = field(
        default_factory=lambda: aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False)
    )

    async def close(self) -> None:
        await self.session.close()

    async def read(self, pod: Mapping[str, Any]) -> PodReport | None:
        """The report of a running pod; None when it has no address, does not answer, or answers nonsense."""
        address = _address(pod)
        if not address:
            return None
        host = f"[{address}]" if ":" in address else address
        try:
            return await self._ask(f"http://{host}:{self.port}/status")
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            _log.debug("pod %s says nothing: %s: %s", pod["metadata"]["name"], type(error).__name__, error)
            return None

    async def _ask(self, url: str) -> PodReport:
        async with self.session.get(url, allow_redirects=False) as response:
            if response.status != HTTPStatus.OK:
                raise aiohttp.ClientPayloadError(f"HTTP {response.status}")
            body = await response.content.read(LARGEST)
            while len(body) < LARGEST and (more := await response.content.read(LARGEST)):
                body += more
        return msgspec.json.decode(body, type=PodReport)


def _address(pod: Mapping[str, Any]) -> str:
    """Where to ask; empty for a pod that is not running or is being deleted."""
    status = pod.get("status") or {}
    if status.get("phase") != "Running" or "deletionTimestamp" in pod["metadata"]:
        return ""
    return str(status.get("podIP", ""))
