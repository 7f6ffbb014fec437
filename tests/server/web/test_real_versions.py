"""Two real models in one real server, driven by the settings file: each answer is wholly of one of them."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import psutil
import pytest

from tests.support.front_end import events, text_of, until
from tests.support.server_process import ServerProcess
from tests.support.tiny_models import continuation, reference, write_model

pytestmark = pytest.mark.slow

PROMPT = [72, 101, 108, 108, 111]
TOKENS = 40


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    directory = tmp_path_factory.mktemp("two")
    return {
        f"{seed}.0.0": write_model(directory / str(seed), seed=seed, eos_token_id=None) for seed in (1, 2)
    }


@pytest.fixture
def server(models, tmp_path):
    """Started with version 1.0.0 on its command line, and told by its settings to serve 2.0.0 as well."""
    running = ServerProcess(models["1.0.0"], tmp_path / "server.log")
    running.settings = tmp_path / "settings.json"
    write(running, models, "1.0.0", "2.0.0", active="2.0.0")
    running.start("--dtype=float32", f"--settings={running.settings}")
    yield running
    running.stop()


def write(server, models, *versions: str, active: str) -> None:
    listed = [{"version": version, "uri": str(models[version]), "dtype": "float32"} for version in versions]
    server.settings.write_text(json.dumps({"activeVersion": active, "versions": listed}))


async def ask(client) -> tuple[str, str, str]:
    body = {"model": "chat", "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "stream": True}
    async with client.post("/v1/completions", json={**body, "ignore_eos": True}) as response:
        assert response.status == 200, await response.text()
        *chunks, done = await events(response)
        assert done == "[DONE]"
    (fingerprint,) = {chunk["system_fingerprint"] for chunk in chunks}
    return response.headers["X-Model-Version"], fingerprint.removeprefix("rs-"), text_of(chunks)


def states(status) -> dict[str, str]:
    return {label: version["state"] for label, version in status["models"]["chat"]["versions"].items()}


async def test_work_moves_under_load_and_no_answer_mixes_two_models(server, models):
    async def status():
        async with client.get("/status") as response:
            return await response.json()

    texts, answers, going = {}, [], True

    async def keep_asking():
        while going:
            answers.append(await ask(client))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"http://{server.address}", connector=connector) as client:
        assert (await status())["models"]["chat"]["active_version"] == "2.0.0", (
            "as its settings said at the start"
        )
        await until(status, lambda seen: states(seen) == {"1.0.0": "ready", "2.0.0": "ready"})
        askers = [asyncio.create_task(keep_asking()) for _ in range(32)]
        for version in ("1.0.0", "2.0.0", "1.0.0"):
            write(server, models, "1.0.0", "2.0.0", active=version)
            await until(status, lambda seen, to=version: seen["models"]["chat"]["active_version"] == to)
            done = len(answers)
            await until(status, lambda _seen, done=done: len(answers) >= done + 100)
        write(server, models, "1.0.0", active="1.0.0")
        await until(status, lambda seen: states(seen) == {"1.0.0": "ready"})
        going = False
        await asyncio.gather(*askers)
        engines = psutil.Process(server.process.pid).children()
    assert len(engines) == 1, "the other's process, and its memory, are gone"
    assert len(answers) >= 300
    for header, fingerprint, text in answers:
        assert header == fingerprint
        texts.setdefault(header, set()).add(text)
    expected = {label: continuation(reference(path), PROMPT, 4) for label, path in models.items()}
    assert expected["1.0.0"] != expected["2.0.0"]
    assert {label: len(found) for label, found in texts.items()} == {"1.0.0": 1, "2.0.0": 1}
    assert texts["1.0.0"] != texts["2.0.0"]
