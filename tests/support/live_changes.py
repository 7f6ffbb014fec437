"""Every setting changed by its file while requests run: how long until it counts, and whether a request noticed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from operator import le
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.echo_process import EchoProcess
from tests.support.front_end import events, text_of, until

SECTIONS: Mapping[str, Any] = {
    "batching": {"maxBatchSize": 3, "maxBatchTokens": 64, "maxWaitMs": 0, "dynamic": False},
    "limits": {"maxConnections": 64, "maxQueue": 64, "maxTokens": 100, "requestTimeoutSeconds": 120},
    "streaming": {
        "heartbeatSeconds": 1,
        "bufferTokens": 2,
        "idleTimeoutSeconds": 30,
        "resumeWindowSeconds": 5,
    },
    "rateLimit": {"requestsPerMinute": 1_000_000, "tokensPerMinute": 100_000_000, "burst": 100_000},
    "replicas": 2,
}
"""Other values than the defaults; none leaves the callers below less than they ask for."""
CALLERS, TOKENS = 8, 40
PROMPT = "abcdefgh"
TEXT = PROMPT * (TOKENS // len(PROMPT))


class Change(NamedTuple):
    """What was written, and the seconds from then until the server said that it counts."""

    content: Mapping[str, Any]
    seconds: float


class Callers:
    """Ask all the time, streamed and whole; each answer must be the right one."""

    def __init__(self, server: EchoProcess) -> None:
        self.answers = 0
        self._server = server
        self._over = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(self._call(stream=bool(number % 2)))

    def stop(self) -> None:
        self._over = True

    async def _call(self, *, stream: bool) -> None:
        body = {"model": "chat", "prompt": PROMPT, "max_tokens": TOKENS, "stream": stream}
        while not self._over:
            async with self._server.client.post("/v1/completions", json=body) as response:
                assert response.status == 200, await response.text()
                if stream:
                    *chunks, done = await events(response)
                    assert done == "[DONE]"
                    text = text_of(chunks)
                else:
                    text = (await response.json())["choices"][0]["text"]
            assert text == TEXT
            self.answers += 1


def by_section() -> list[Mapping[str, Any]]:
    """All settings of a section at once."""
    return [{name: value} for name, value in SECTIONS.items()]


def one_by_one() -> list[Mapping[str, Any]]:
    """Each setting alone; a limit of rates is one."""
    sections = {name: SECTIONS[name] for name in ("batching", "limits", "streaming")}
    single = [{name: {field: value}} for name, fields in sections.items() for field, value in fields.items()]
    return [*single, {"rateLimit": SECTIONS["rateLimit"]}, {"replicas": SECTIONS["replicas"]}]


async def change_each(
    server: EchoProcess, file: Path, contents: Sequence[Mapping[str, Any]]
) -> tuple[int, list[Change]]:
    """Write them one after the other; return how many answers came meanwhile, all of them right, and the changes."""
    callers = Callers(server)
    calling = asyncio.create_task(callers.run())
    changes = []
    for number, content in enumerate(contents):
        await until(partial(_answers, callers, calling), partial(le, CALLERS * (number + 1)))
        changes.append(Change(content, await _write(server, file, 100 + number, content)))
    callers.stop()
    await calling
    return callers.answers, changes


async def _answers(callers: Callers, calling: asyncio.Task[None]) -> int:
    if calling.done():
        calling.result()  # a caller that got a wrong answer says which
    return callers.answers


async def _write(server: EchoProcess, file: Path, generation: int, content: Mapping[str, Any]) -> float:
    async def told() -> dict[str, Any]:
        async with server.client.get("/status") as response:
            found: dict[str, Any] = await response.json()
            return found

    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({"generation": generation, **content}))
    begin = time.monotonic()
    fresh.replace(file)
    status = await until(
        told, lambda seen: seen["settings_generation"] == generation or seen["settings_error"]
    )
    assert not status["settings_error"], status["settings_error"]
    return time.monotonic() - begin
