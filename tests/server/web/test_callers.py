"""Limits and keys of callers, over HTTP."""

from __future__ import annotations

import hashlib
import re

import openai
import pytest

from tests.support.echo_engine import echo_engine
from tests.support.front_end import events, front_end

pytestmark = pytest.mark.slow

KEY = "a-long-random-key-of-the-web-client"
CLIENTS = [{"name": "web", "keySha256": [hashlib.sha256(KEY.encode()).hexdigest()], "priority": "high"}]
BEARER = {"Authorization": f"Bearer {KEY}"}
PLAIN = {"model": "chat", "prompt": "abc", "max_tokens": 1}


async def ask(front, headers=None, **fields):
    async with front.client.post("/v1/completions", json={**PLAIN, **fields}, headers=headers) as response:
        await response.read()
        return response


async def test_requests_above_the_limit_are_told_when_to_come_back(front):
    await front.set(rateLimit={"requestsPerMinute": 60, "burst": 2})
    assert [(await ask(front)).status for _ in range(3)] == [200, 200, 429]
    async with front.complete("abc") as response:
        error = (await response.json())["error"]
    assert response.headers["Retry-After"] == "1"
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "requests a minute" in error["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_every_answer_says_what_is_left(front, stream):
    await front.set(rateLimit={"requestsPerMinute": 60, "tokensPerMinute": 600}, replicas=2)
    headers = (await ask(front, stream=stream)).headers
    assert headers["x-ratelimit-limit-requests"] == "30"
    assert headers["x-ratelimit-remaining-requests"] == "29"
    assert headers["x-ratelimit-limit-tokens"] == "300"
    assert headers["x-ratelimit-remaining-tokens"] == "296"
    assert re.fullmatch(r"\d+s", headers["x-ratelimit-reset-tokens"])
    assert headers["RateLimit-Policy"] == '"requests";q=30;w=60, "tokens";q=300;w=60'
    assert re.fullmatch(r'"requests";r=29;t=\d+, "tokens";r=296;t=\d+', headers["RateLimit"])


async def test_without_limits_no_header_speaks_of_them(front):
    assert not [name for name in (await ask(front)).headers if "ratelimit" in name.lower()]


async def test_tokens_that_were_not_made_are_given_back(front):
    await front.set(rateLimit={"tokensPerMinute": 1000})
    assert (await ask(front, prompt=[259] * 3, max_tokens=900)).status == 200  # ends at its first token
    assert (await ask(front, prompt="abc", max_tokens=990)).status == 200
    refused = await ask(front, prompt="abc", max_tokens=500)
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def test_a_client_that_leaves_gives_back_what_it_did_not_get(directory):
    async with front_end(echo_engine(directory, step_seconds=0.005)) as front:
        await front.set(rateLimit={"tokensPerMinute": 2000})
        async with front.complete("abc", stream=True, max_tokens=1990, ignore_eos=True) as response:
            await response.content.readuntil(b"\n\n")
            response.close()
        await front.settle(lambda status: status["streams"]["active"] == 0)
        assert (await ask(front, max_tokens=1000)).status == 200


async def test_without_a_known_key_the_api_is_closed_and_the_probes_are_open(front):
    await front.set(clients=CLIENTS)
    for path in ("/v1/models", "/v1/chat/completions", "/v1/jobs/none"):
        async with front.client.get(path) as response:
            assert (response.status, response.headers["WWW-Authenticate"][:6]) == (401, "Bearer"), path
            assert (await response.json())["error"]["code"] == "invalid_api_key"
    for path in ("/health", "/ready", "/status", "/metrics"):
        async with front.client.get(path) as response:
            assert response.status == 200, path
    assert (await ask(front, BEARER)).status == 200
    assert (await ask(front, {"X-API-Key": KEY})).status == 200
    assert (await ask(front, {"Authorization": f"Basic {KEY}"})).status == 401
    await front.set()
    assert (await ask(front)).status == 200


async def test_a_client_has_its_own_limit_priority_and_name(front, caplog):
    caplog.set_level("INFO", logger="realtime_serve")
    limit = {"requestsPerMinute": 2}
    await front.set(clients=[{**CLIENTS[0], "rateLimit": limit}], rateLimit={"requestsPerMinute": 1000})
    assert [(await ask(front, BEARER)).status for _ in range(3)] == [200, 200, 429]
    async with front.client.get("/metrics") as response:
        metrics = await response.text()
    assert 'realtime_serve_rate_limited_total{client="web",unit="requests"} 1.0' in metrics
    assert (
        'realtime_serve_request_success_total{finished_reason="length",model_name="chat",model_version="1.0.0",priority="high"} 2.0'
        in metrics
    )
    lines = [record.fields for record in caplog.records if record.name == "realtime_serve.requests"]
    assert [(line["client"], line["outcome"]) for line in lines[-2:]] == [
        ("web", "length"),
        ("web", "rate_limit_exceeded"),
    ]
    assert KEY not in str([record.__dict__ for record in caplog.records])


async def test_limits_change_for_the_next_request_and_not_for_those_that_run(directory):
    async with (
        front_end(echo_engine(directory, step_seconds=0.002)) as front,
        front.complete("abc", stream=True, max_tokens=100, ignore_eos=True) as response,
    ):
        await response.content.readuntil(b"\n\n")
        await front.set(rateLimit={"requestsPerMinute": 1, "tokensPerMinute": 1}, clients=CLIENTS)
        assert (await ask(front)).status == 401
        assert (await events(response))[-1] == "[DONE]"


async def test_the_openai_client_waits_and_tries_again(front):
    await front.set(rateLimit={"requestsPerMinute": 60, "burst": 1})
    async with openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key=KEY, max_retries=2) as client:
        for _ in range(2):
            done = await client.completions.create(model="chat", prompt="abc", max_tokens=1)
            assert done.usage.completion_tokens == 1
        await front.set(rateLimit={"requestsPerMinute": 1})
        with pytest.raises(openai.RateLimitError):
            await client.with_options(max_retries=0).completions.create(model="chat", prompt="abc")
