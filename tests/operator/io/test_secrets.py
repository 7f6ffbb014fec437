"""Keys of clients: read from Secrets over real HTTP, shown as digests and nothing else."""

from __future__ import annotations

import base64
import json
from hashlib import sha256

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from inference_operator.cluster.client import Client
from inference_operator.cluster.secrets import KeyReader
from inference_operator.errors import ClusterError
from inference_operator.observed import ClientKeys
from inference_operator.spec.live import Client as Caller

KEY, OLD = "k" * 24, "o" * 30


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def sha(text):
    return sha256(text.encode()).hexdigest()


@pytest.fixture
async def api(tmp_path):
    """An API server that has nothing but Secrets; a number among them is the status to answer with."""
    secrets = {}

    async def answer(request):
        found = secrets.get(request.match_info["name"], 404)
        if isinstance(found, int):
            body = {"kind": "Status", "code": found, "message": f"no: {found}"}
            return web.json_response(body, status=found)
        return web.json_response({"kind": "Secret", "data": found})

    app = web.Application()
    app.add_routes([web.get("/api/v1/namespaces/ai/secrets/{name}", answer)])
    async with TestServer(app) as server:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "a",
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "users": [{"name": "a", "user": {}}],
                    "clusters": [{"name": "a", "cluster": {"server": str(server.make_url("/"))}}],
                }
            )
        )
        client = await Client.connect(str(kubeconfig))
        yield secrets, KeyReader(client=client, allowed=True)
        await client.close()


def caller(reference="web-key", name="web"):
    return Caller(name=name, secret_ref=reference)


async def read_one(reader, reference="web-key"):
    found, refused = await reader.read("ai", [caller(reference)])
    assert refused == ""
    return found["web"]


async def test_both_keys_are_accepted_while_one_follows_the_other(api):
    secrets, reader = api
    secrets["web-key"] = {"apiKey": encoded(KEY), "apiKeyPrevious": encoded(OLD)}
    assert await read_one(reader) == ClientKeys(digests=(sha(KEY), sha(OLD)))


async def test_a_newline_at_the_end_is_no_part_of_a_key(api):
    secrets, reader = api
    secrets["web-key"] = {"apiKey": encoded(f"{KEY}\n")}
    assert (await read_one(reader)).digests == (sha(KEY),)


async def test_a_key_that_could_be_guessed_from_its_digest_is_not_shown(api):
    secrets, reader = api
    secrets["web-key"] = {"apiKey": encoded(KEY), "apiKeyPrevious": encoded("o" * 23)}
    found = await read_one(reader)
    assert found.digests == (sha(KEY),)
    assert found.problem == "Secret web-key of client web has a key of fewer than 24 characters"


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        (404, "Secret web-key of client web does not exist"),
        ({}, "Secret web-key of client web has no text under apiKey"),
        ({"apiKey": encoded("\n")}, "Secret web-key of client web has no text under apiKey"),
        ({"apiKey": "//79"}, "Secret web-key of client web has no text under apiKey"),
        ({"token": encoded(KEY)}, "Secret web-key of client web has no text under apiKey"),
    ],
)
async def test_what_is_missing_is_named(api, secret, problem):
    secrets, reader = api
    secrets["web-key"] = secret
    assert await read_one(reader) == ClientKeys(problem=problem)


async def test_one_missing_secret_leaves_the_other_clients_their_keys(api):
    secrets, reader = api
    secrets["web-key"] = {"apiKey": encoded(KEY)}
    found, _ = await reader.read("ai", [caller(), caller("gone", "batch")])
    assert found["web"].digests == (sha(KEY),)
    assert found["batch"].digests == ()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_not_to_know_a_key_is_not_to_miss_it(api, status):
    secrets, reader = api
    secrets["web-key"] = status
    with pytest.raises(ClusterError):
        await reader.read("ai", [caller()])


async def test_a_forbidden_read_is_told_with_the_charts_value(api):
    secrets, reader = api
    secrets["web-key"] = 403
    found, refused = await reader.read("ai", [caller()])
    assert found == {}
    assert "rbac.clientSecrets" in refused


async def test_without_the_right_nothing_is_asked():
    reader = KeyReader(client=None, allowed=False)
    found, refused = await reader.read("ai", [caller()])
    assert found == {}
    assert "rbac.clientSecrets" in refused
    assert await reader.read("ai", []) == ({}, "")


async def test_no_key_is_written_to_the_log(api, caplog):
    secrets, reader = api
    caplog.set_level("DEBUG")
    secrets["web-key"] = {"apiKey": encoded(KEY)}
    found = await read_one(reader)
    assert KEY not in caplog.text
    assert encoded(KEY) not in caplog.text
    assert KEY not in json.dumps(found.digests)
