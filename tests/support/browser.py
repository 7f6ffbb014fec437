"""Headless Chromium, driven through its own debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from hack import packages
from tests.support.front_end import PATIENCE, until

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--window-size=1100,900",
)


class Page:
    """One tab. `problems` has whatever the page complained of: exceptions, refused loads, errors of the console."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.problems: list[str] = []
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._events: dict[str, asyncio.Event] = {}

    async def call(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(answer, PATIENCE)

    async def listen(self) -> None:
        async for message in self._socket:
            content = message.json()
            if "id" in content:
                self._settle(content)
            else:
                self._notice(content["method"], content["params"])

    async def open(self, url: str) -> None:
        loaded = self._events["Page.loadEventFired"] = asyncio.Event()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(loaded.wait(), PATIENCE)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        await until(lambda: self.evaluate(f"Boolean({expression})"), bool)

    async def press(
        self, key: str, code: str, *, modifiers: int = 0, number: int = 0, text: str = ""
    ) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=code,
                modifiers=modifiers,
                windowsVirtualKeyCode=number,
                text=text if kind == "keyDown" else "",
            )

    async def screenshot(self, path: Path) -> None:
        answer = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    def _settle(self, content: dict[str, Any]) -> None:
        answer = self._answers.pop(content["id"])
        if "error" in content:
            answer.set_exception(AssertionError(content["error"]))
        else:
            answer.set_result(content["result"])

    def _notice(self, method: str, parameters: dict[str, Any]) -> None:
        if method in self._events:
            self._events[method].set()
        if method == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(parameters["entry"]["text"])


@contextlib.asynccontextmanager
async def browser_page(profile: Path) -> AsyncIterator[Page]:
    packages.ensure(packages.BROWSER)
    process = await asyncio.create_subprocess_exec(
        "chromium", *FLAGS, f"--user-data-dir={profile}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = await _address(profile / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://{address}/json/new?about:blank") as answer:
                target = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
            async with session.ws_connect(target, max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                for domain in ("Page", "Runtime", "Log", "Accessibility"):
                    await page.call(f"{domain}.enable")
                try:
                    yield page
                finally:
                    listening.cancel()
    finally:
        process.kill()
        await process.wait()


async def _address(file: Path, process: asyncio.subprocess.Process) -> str:
    async def look() -> str:
        assert process.returncode is None, "chromium ended"
        await asyncio.sleep(0.05)
        lines = await asyncio.to_thread(_lines, file)
        return f"127.0.0.1:{lines[0]}" if len(lines) == 2 else ""

    return str(await until(look, bool))


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
