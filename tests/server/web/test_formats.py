"""`response_format` over HTTP: the answer parses and follows its schema, streamed or not, alone or in company."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import jsonschema
import openai
import pytest

from tests.support.front_end import events, named_events, text_of
from tests.support.tiny_tokenizers import NO_GAPS

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "size": {"$ref": "#/$defs/size"},
        "near": {"type": "array", "items": {"enum": ["Bergen", "Gävle"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["city", "size", "near"],
    "additionalProperties": False,
    "$defs": {"size": {"type": "integer", "minimum": 1, "maximum": 999}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture
async def client(real_server):
    async with aiohttp.ClientSession(f"http://{real_server.address}") as session:
        yield session


async def complete(client, **fields) -> str:
    body = {"model": "chat", "prompt": "abc", "max_tokens": 230, "logit_bias": NO_GAPS} | fields
    async with client.post("/v1/completions", json=body) as response:
        assert response.status == 200, await response.text()
        if body.get("stream"):
            *chunks, done = await events(response)
            assert done == "[DONE]"
            return text_of(chunks)
        return (await response.json())["choices"][0]["text"]


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 1.4, "seed": 3, "top_p": 0.9}])
async def test_answers_follow_their_schema_and_company_changes_no_token(client, sampling):
    plain = {**sampling, "max_tokens": 60, "ignore_eos": True}
    formatted = {**sampling, "response_format": FORMAT}
    alone = [await complete(client, **plain), await complete(client, **formatted)]
    together = await asyncio.gather(
        *[complete(client, **fields, stream=bool(n % 3)) for n in range(12) for fields in (plain, formatted)]
    )
    assert together == alone * 12
    jsonschema.validate(json.loads(alone[1]), SCHEMA)


async def test_choices_of_one_request_each_follow_the_schema(client):
    body = {"model": "chat", "messages": MESSAGES, "n": 3, "seed": 1, "temperature": 1.5, "logprobs": True}
    body |= {"response_format": FORMAT, "logit_bias": NO_GAPS}
    async with client.post("/v1/chat/completions", json=body) as response:
        answer = await response.json()
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    for choice, text in zip(answer["choices"], texts, strict=True):
        assert choice["finish_reason"] == "stop"
        jsonschema.validate(json.loads(text), SCHEMA)
    assert len(set(texts)) == 3


async def test_a_json_object_is_one_or_its_beginning(client):
    text = await complete(client, response_format={"type": "json_object"}, max_tokens=40, temperature=0)
    assert text.startswith("{")


def test_the_official_client_sends_a_schema_and_gets_json(real_server):
    with openai.OpenAI(base_url=f"http://{real_server.address}/v1", api_key="none") as client:
        answer = client.chat.completions.create(
            model="chat", messages=MESSAGES, response_format=FORMAT, seed=2, logit_bias=NO_GAPS
        )
    jsonschema.validate(json.loads(answer.choices[0].message.content), SCHEMA)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, "Invalid type: objekt"),
        ({"not": {}}, "Unimplemented keys"),
        ({"description": "x" * 17_000}, "at most 16384"),
    ],
)
async def test_a_schema_that_cannot_be_compiled_is_refused_by_its_field(client, schema, words):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"model": "chat", "messages": MESSAGES, "response_format": wanted}
    async with client.post("/v1/chat/completions", json=body) as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]


@pytest.mark.parametrize("path", ["/infer", "/infer_stream"])
async def test_the_plain_routes_take_a_schema_too(client, path):
    body = {"model": "chat", "prompt": "abc", "json_schema": {"enum": ["Bergen", "Gävle"]}}
    async with client.post(path, json=body) as response:
        answer = (await response.json())["text"] if path == "/infer" else joined(await named_events(response))
    assert answer in {'"Bergen"', '"Gävle"'}
    async with client.post(path, json=body | {"json_schema": {"type": "objekt"}}) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "json_schema")


def joined(told):
    return "".join(content["text"] for name, content in told if name == "token")
