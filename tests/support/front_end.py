"""A front end in this process, on a real port, with whatever engine a test gives it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from realtime_serve.engine.client import Engine
from realtime_serve.generation.draining import Drain
from realtime_serve.generation.metrics import Metrics
from realtime_serve.generation.model import Model
from realtime_serve.generation.registry import ModelRegistry
from realtime_serve.generation.served import ServedVersion
from realtime_serve.generation.serving import Serving
from realtime_serve.generation.swap import Wanted
from realtime_serve.jobs.memory import MemoryStore
from realtime_serve.jobs.store import Store
from realtime_serve.settings.live import LiveSettings
from realtime_serve.settings.version import ModelVersion
from realtime_serve.web.server import HttpServer

PATIENCE = 60.0  # seconds; only ever used up by a failure


class Clock:
    """Time for the drain's rules, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FrontEnd:
    """A running front end, and a client of it."""

    serving: Serving
    client: aiohttp.ClientSession
    url: str
    port: int
    clock: Clock

    async def status(self) -> dict[str, Any]:
        async with self.client.get("/status") as response:
            assert response.status == 200
            told: dict[str, Any] = await response.json()
            return told

    async def settle(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the status until it is as wanted."""
        status: dict[str, Any] = await until(self.status, condition)
        return status

    async def set(self, **sections: Any) -> None:
        await self.serving.settings.load(json.dumps(sections).encode())
        assert self.serving.settings.error == ""

    def chat(self, text: str = "Hi", **fields: Any) -> Any:
        body = {"model": "chat", "messages": [{"role": "user", "content": text}], **fields}
        return self.client.post("/v1/chat/completions", json=body)

    def complete(self, prompt: Any = "abc", **fields: Any) -> Any:
        return self.client.post("/v1/completions", json={"model": "chat", "prompt": prompt, **fields})


async def until(read: Callable[[], Awaitable[Any]], condition: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not condition(seen := await read()):  # noqa: ASYNC110  what HTTP tells has no event
            await asyncio.sleep(0.01)
    return seen


@contextlib.asynccontextmanager
async def front_end(
    make_engine: Callable[[], Engine],
    *,
    others: Mapping[str, Callable[[], Engine]] = {},
    wait: bool = True,
    store: Store | None = None,
    **settings: Any,
) -> AsyncIterator[FrontEnd]:
    """Serve the model `chat`, version `1.0.0`; `others` are the engines of versions that settings may list."""
    live, clock = LiveSettings("1.0.0"), Clock()
    engines = {"1.0.0": make_engine, **others}

    def make_version(definition: ModelVersion, on_change: Callable[[], None]) -> ServedVersion:
        make = engines[definition.version]
        return ServedVersion(definition, name="chat", make_engine=make, settings=live, on_change=on_change)

    model = Model(
        "chat",
        wanted=Wanted((ModelVersion(version="1.0.0", uri="a"),), "1.0.0"),
        make_version=make_version,
        drain_seconds=lambda: live.current.limits.request_timeout_seconds,
    )
    live.subscribe(model.obey)
    await live.load(json.dumps(settings).encode())
    assert live.error == ""
    models = ModelRegistry(model)
    serving = Serving(models=models, settings=live, drain=Drain(clock), metrics=Metrics())
    http = HttpServer(serving, store or MemoryStore(lambda: live.current.streaming.resume_window_seconds))
    port = await http.start("127.0.0.1", 0)
    tasks = [asyncio.create_task(models.run()), asyncio.create_task(http.run())]
    url = f"http://127.0.0.1:{port}"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as client:
        front = FrontEnd(serving, client, url, port, clock)
        try:
            if wait:
                await front.settle(lambda status: state(status) == "ready")
            yield front
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await http.stop()
            await models.stop()


def state(status: dict[str, Any]) -> str:
    return str(status["models"]["chat"]["versions"]["1.0.0"]["state"])


async def events(response: aiohttp.ClientResponse) -> list[Any]:
    """The events of a stream that ends, decoded; `[DONE]` as it is, comments left out."""
    blocks = (await response.read()).decode().split("\n\n")
    found = [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in found]


async def named_events(response: aiohttp.ClientResponse) -> list[tuple[str, Any]]:
    blocks = [block for block in (await response.text()).split("\n\n") if block.startswith("event: ")]
    pairs = [block.removeprefix("event: ").split("\ndata: ") for block in blocks]
    return [(name, json.loads(data)) for name, data in pairs]


def text_of(chunks: list[Any]) -> str:
    """The text of a stream's chunks, of either kind."""
    choices = [choice for chunk in chunks if isinstance(chunk, dict) for choice in chunk.get("choices", [])]
    return "".join(
        choice["text"] if "text" in choice else choice["delta"].get("content", "") for choice in choices
    )
