"""A server inside a program, with models of its own."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import replace

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from realtime_serve import (
    InferenceRequest,
    InferenceServer,
    MiddlewareChain,
    ModelConfig,
    RequestPriority,
    ServerConfig,
)
from realtime_serve.errors import (
    GenerationFailed,
    InvalidRequest,
    LoadFailed,
    ModelNotFound,
    VersionNotFound,
)
from tests.support import own_models

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PATIENCE = 60


@web.middleware
async def around(request, handler):
    if request.path == "/tea":
        raise web.HTTPGone
    response = await handler(request)
    response.headers["X-Chain"] = "here"
    return response


@contextlib.asynccontextmanager
async def serving(*configs, **options):
    server = InferenceServer(config=ServerConfig(port=0, graceful_shutdown_timeout=5.0), **options)
    for name in ("counting", "saying", "failing", "wrong", "broken"):
        server.model_registry.register_loader(name, getattr(own_models, f"load_{name}"))
    for config in configs:
        server.register_model(config)
    running = asyncio.create_task(server.start())
    ready = asyncio.create_task(server.ready())
    await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
    try:
        if running.done():
            running.result()
        yield server
    finally:
        ready.cancel()
        if not running.done():
            await server.stop()
        await asyncio.gather(running, return_exceptions=True)


def saying(version="1.0.0", name="chat", **options):
    return ModelConfig(name=name, version=version, loader="saying", options=options)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """`chat` says "one", `abc` counts on from the prompt's last letter, `shaky` fails when it is asked to."""
    models = [
        saying("one"),
        ModelConfig(name="abc", loader="counting"),
        ModelConfig(name="shaky", loader="failing"),
    ]
    async with serving(*models, middleware=MiddlewareChain(around)) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield client


async def test_a_model_of_logits_is_drawn_from_as_every_other(server):
    request = InferenceRequest(model="abc", prompt="A", max_tokens=5, temperature=0)
    answer = await server.infer(request)
    assert (answer.text, answer.finish_reason, answer.version) == ("BCDEF", "length", "1.0.0")
    assert "".join([token.text async for token in server.stream(request)]) == "BCDEF"
    told = [token async for token in server.stream(replace(request, logprobs=True))]
    assert told[-1].id == ord("F")
    assert sum(token.logprob for token in told) == pytest.approx(
        -5 * math.log1p(256 * math.exp(-9)), rel=1e-4
    )
    seeded = InferenceRequest(model="abc", prompt="A", max_tokens=9, temperature=2, seed=7)
    assert (await server.infer(seeded)).text == (await server.infer(seeded)).text


async def test_an_answer_follows_the_schema_that_was_asked_for(server):
    request = InferenceRequest(model="abc", prompt="A", json_schema={"enum": ["CAB"]})
    assert (await server.infer(request)).text == '"CAB"'
    with pytest.raises(InvalidRequest, match="chooses its tokens itself") as refused:
        await server.infer(replace(request, model="chat"))
    assert refused.value.param == "json_schema"
    with pytest.raises(ValueError, match=r"json_schema: '\{\}'; allowed is"):
        replace(request, json_schema="{}")


async def test_a_model_of_tokens_says_its_words_and_ends_over_http_too(server, client):
    async with client.post("/infer", json={"model": "chat", "prompt": "x"}) as response:
        answer = await response.json()
    assert (answer["text"], answer["finish_reason"]) == ("one", "stop")
    body = {"model": "chat", "messages": [{"role": "user", "content": "x"}]}
    async with client.post("/v1/chat/completions", json=body) as response:
        assert (await response.json())["choices"][0]["message"]["content"] == "one"
    async with client.get("/models") as response:
        assert (await response.json())["total_models"] == 3
    assert server.metrics.snapshot()["models"]["chat"]["versions"]["one"]["error_rate"] == 0


async def test_text_of_several_bytes_comes_whole(server):
    await server.model_registry.load_model(saying(name="world", words="Hello 🌍"))
    texts = [token.text async for token in server.stream(InferenceRequest(model="world", prompt="x"))]
    assert "".join(texts) == "Hello 🌍"
    assert not any("\ufffd" in text for text in texts)
    await server.model_registry.unload_model("world")


@pytest.mark.parametrize("prompt", ["raise", "yield"])
async def test_what_a_model_does_wrong_ends_one_request_with_the_reason(server, prompt):
    good = [server.infer(InferenceRequest(model="shaky", prompt="fine")) for _ in range(4)]
    bad = server.infer(InferenceRequest(model="shaky", prompt=prompt))
    *answers, error = await asyncio.gather(*good, bad, return_exceptions=True)
    assert [answer.text for answer in answers] == ["well"] * 4
    assert isinstance(error, GenerationFailed)
    assert {"raise": "a bad day", "yield": "yielded 999"}[prompt] in str(error)


async def test_versions_are_loaded_swapped_and_unloaded_while_requests_run(server):
    registry = server.model_registry
    await registry.load_model(saying("first", name="pair"))
    await registry.load_model(saying("second", name="pair"))
    ask = InferenceRequest(model="pair", prompt="x")
    assert (await server.infer(ask)).text == "first"
    await registry.set_active_version("pair", "second")
    assert (await server.infer(ask)).text == "second"
    assert (await server.infer(InferenceRequest(model="pair", prompt="x", version="first"))).text == "first"
    assert (await registry.health_check())["pair"] == {"first": "ready", "second": "ready"}
    with pytest.raises(ValueError, match="set another version active first"):
        await registry.unload_model("pair", "second")
    await registry.unload_model("pair", "first")
    assert (await registry.health_check())["pair"] == {"second": "ready"}
    with pytest.raises(VersionNotFound):
        await registry.set_active_version("pair", "first")
    await registry.unload_model("pair")
    with pytest.raises(ModelNotFound):
        await server.infer(ask)


async def test_a_request_ends_on_the_version_that_it_began_on(server):
    registry = server.model_registry
    await registry.load_model(saying("old", name="moving", words="o" * 200))
    await registry.load_model(saying("new", name="moving", words="n" * 200))
    tokens = server.stream(InferenceRequest(model="moving", prompt="x"))
    first = await anext(tokens)
    await registry.set_active_version("moving", "new")
    going = asyncio.create_task(registry.unload_model("moving", "old"))
    assert first.text + "".join([token.text async for token in tokens]) == "o" * 200
    await going
    assert (await server.infer(InferenceRequest(model="moving", prompt="x"))).text == "n" * 200
    await registry.unload_model("moving")


async def test_a_version_that_does_not_load_leaves_the_others_alone(server):
    for loader, message in (("broken", "no weights here"), ("wrong", "the loader returned object")):
        with pytest.raises(LoadFailed, match=message):
            await server.model_registry.load_model(ModelConfig(name="chat", version="bad", loader=loader))
    assert (await server.infer(InferenceRequest(model="chat", prompt="x"))).text == "one"
    assert (await server.model_registry.health_check())["chat"] == {"one": "ready"}


async def test_a_wrong_request_raises_what_http_would_answer(server):
    with pytest.raises(InvalidRequest, match="limit"):
        await server.infer(InferenceRequest(model="chat", prompt="x", max_tokens=1_000_000))


async def test_a_priority_reaches_the_engine(server):
    await server.infer(InferenceRequest(model="chat", prompt="x", priority=RequestPriority.LOW))
    assert 'priority="low"' in server.metrics.render().decode()


async def test_a_reader_that_stops_takes_its_sequence_along(server):
    tokens = server.stream(InferenceRequest(model="abc", prompt="A", max_tokens=2000, temperature=0))
    assert (await anext(tokens)).text.startswith("B")
    await tokens.aclose()
    assert not any(version.work.active for version in server.model_registry.versions())


async def test_a_chain_stands_around_every_request(client):
    async with client.get("/models") as response:
        assert response.headers["X-Chain"] == "here"
    async with client.get("/tea") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (410, "gone")


async def test_a_first_model_that_does_not_load_ends_the_start():
    with pytest.raises(LoadFailed, match="no weights here"):
        async with serving(ModelConfig(name="chat", loader="broken")):
            pass


async def test_what_cannot_be_registered_is_told_at_once():
    server = InferenceServer()
    with pytest.raises(ValueError, match="top level of a module"):
        server.model_registry.register_loader("local", lambda config: None)
    with pytest.raises(ValueError, match="is taken"):
        server.model_registry.register_loader("transformers", own_models.load_saying)
    with pytest.raises(ValueError, match="not registered; known are 'transformers'"):
        await server.model_registry.load_model(ModelConfig(name="a", loader="none"))
    with pytest.raises(ValueError, match="register a model first"):
        await server.start()
    server.register_model(saying("1"))
    with pytest.raises(ValueError, match="registered already"):
        server.register_model(saying("1"))
