"""The echo server as a process on a port that it keeps, so that it can die and come back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from hack.ports import free_port
from tests.support.front_end import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]


class EchoProcess:
    """A context: the server runs inside it, unless it was killed."""

    def __init__(
        self,
        directory: Path,
        *,
        step_seconds: float = 0.005,
        redis_url: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "tests.support.echo_server", f"--model={directory}"]
        self._command += ["--served-name=chat", f"--port={self.port}"]
        self._environment = {**os.environ, "ECHO_STEP_SECONDS": str(step_seconds), **(environment or {})}
        if redis_url:
            self._environment["REALTIME_SERVE_REDIS_URL"] = redis_url
        self._process: subprocess.Popen[bytes] | None = None
        self.client: aiohttp.ClientSession

    async def start(self) -> None:
        """Returns when it is ready."""
        self._process = self._spawn()
        await until(self._is_ready, bool)

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, cwd=ROOT, env=self._environment)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def end(self) -> int:
        """Tell it to end; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait, PATIENCE)

    async def __aenter__(self) -> Self:
        self.client = aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(limit=0))
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        self.kill()

    async def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the server ended"
        await asyncio.sleep(0.05)
        try:
            async with self.client.get("/ready") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False
