"""What the server says of itself to the operator, to Kubernetes and to Prometheus."""

from __future__ import annotations

import asyncio
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end

pytestmark = pytest.mark.slow

NAMES = {
    "kv_cache_usage_perc",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "num_requests_running",
    "num_requests_waiting",
    "time_to_first_token_seconds",
    "inter_token_latency_seconds",
    "e2e_request_latency_seconds",
    "request_queue_time_seconds",
    "prompt_tokens",
    "generation_tokens",
    "request_success",
    "request_failure",
    "client_disconnects",
    "active_streams",
    "draining",
    "settings_generation",
    "engine_step_seconds",
}


async def test_the_status_is_the_whole_contract(front):
    status = await front.status()
    assert re.fullmatch(r"\d+\.\d+\.\d+", status.pop("server_version"))
    assert status.pop("uptime_seconds") > 0
    assert status == {
        "draining": False,
        "settings_generation": 0,
        "settings_error": "",
        "connections": 1,
        "streams": {"active": 0},
        "models": {
            "chat": {
                "active_version": "1.0.0",
                "versions": {"1.0.0": {"state": "ready", "message": "", "active_streams": 0}},
            }
        },
        "queues": {"chat": {"waiting": 0, "running": 0}},
        "errors": {},
        "latency": {},
    }


async def test_the_status_tells_how_each_version_does(front):
    for _ in range(3):
        async with front.complete("abc", max_tokens=4) as response:
            await response.read()
    async with front.complete("abc", max_tokens=0) as response:
        assert response.status == 400
    async with front.complete("abc", max_tokens=3000) as response:
        assert response.status == 400
    async with front.complete([259], max_tokens=5) as response:
        assert (await response.json())["choices"][0]["text"] == ""
    status = await front.status()
    assert status["errors"] == {"1.0.0": {"requests_total": 4, "errors_total": 0, "empty_total": 1}}
    latency = status["latency"]["1.0.0"]
    assert latency["ttft_count"] == 4
    assert latency["ttft_p95_ms"] > 0


async def test_a_version_is_not_judged_by_requests_that_were_sent_to_try_it(front):
    body = {"model": "chat", "prompt": "abc", "max_tokens": 4}
    async with front.client.post(
        "/v1/completions", json=body, headers={"X-Model-Version": "1.0.0"}
    ) as response:
        assert response.status == 200
    status = await front.status()
    assert (status["errors"], status["latency"]) == ({}, {})


async def test_percentiles_are_json_for_those_who_ask_for_it(front):
    async with front.complete("abc", max_tokens=10) as response:
        await response.read()
    async with front.client.get("/metrics", headers={"Accept": "application/json"}) as response:
        (version,) = (await response.json())["models"]["chat"]["versions"].values()
    assert version["time_to_first_token_ms"]["count"] == version["inter_token_latency_ms"]["count"] == 1
    assert version["request_latency_ms"]["p99"] >= version["time_to_first_token_ms"]["p50"] > 0
    assert version["tokens_per_second"] == round(10 / 60, 3)
    assert version["error_rate"] == 0


async def test_generated_tokens_are_counted_while_they_come(directory):
    async with (
        front_end(echo_engine(directory, step_seconds=0.005)) as front,
        front.complete("abc", stream=True, max_tokens=2000, ignore_eos=True) as response,
    ):
        await response.content.readuntil(b"\n\n")
        async with front.client.get("/metrics") as metrics:
            families = text_string_to_metric_families(await metrics.text())
            (family,) = [found for found in families if found.name == "realtime_serve_generation_tokens"]
        assert family.samples[0].value > 0
        response.close()


async def test_bad_settings_are_told_in_the_status(front):
    await front.serving.settings.load(b'{"generation": 9, "batching": {"maxBatchSize": 0}}')
    status = await front.status()
    assert (status["settings_generation"], status["settings_error"]) == (
        0,
        "batching.maxBatchSize: expected `int` >= 1",
    )


async def test_the_models_are_told_in_the_older_api_too(front):
    async with front.client.get("/models") as response:
        body = await response.json()
    assert body["total_models"] == 1
    assert body["models"]["chat"]["versions"]["1.0.0"]["state"] == "ready"


async def test_health_counts_connections_and_streams(front):
    async with front.client.get("/health") as response:
        assert await response.json() == {"status": "ok", "active_connections": 1, "active_streams": 0}


async def test_a_request_is_counted_in_every_metric(front):
    async with front.complete("abc", max_tokens=10) as response:
        await response.read()
    async with front.client.get("/metrics") as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    assert {f"realtime_serve_{name}" for name in NAMES} <= set(families)
    samples = {
        sample.name.removeprefix("realtime_serve_"): sample.value
        for family in families.values()
        for sample in family.samples
        if "le" not in sample.labels
    }
    assert samples["prompt_tokens_total"] == 3
    assert samples["generation_tokens_total"] == 10
    assert samples["inter_token_latency_seconds_count"] == 9
    assert samples["time_to_first_token_seconds_count"] == samples["request_queue_time_seconds_count"] == 1
    assert samples["request_queue_time_seconds_sum"] <= samples["time_to_first_token_seconds_sum"]
    assert samples["e2e_request_latency_seconds_count"] == samples["request_success_total"] == 1


async def test_a_request_before_the_model_is_there_is_told_to_come_back(directory):
    async with front_end(echo_engine(directory, load_seconds=30), wait=False) as front:
        for path, status in (("/ready", 503), ("/health", 200)):
            async with front.client.get(path) as response:
                assert response.status == status, path
        states = await front.settle(lambda status: version(status)["message"] != "")
        assert version(states)["state"] == "loading"
        async with front.complete() as response:
            error = (await response.json())["error"]
        assert (response.status, response.headers["Retry-After"], error["code"]) == (
            503,
            "5",
            "model_not_ready",
        )


async def test_a_line_is_logged_for_a_request_and_nothing_of_its_text(front, caplog):
    caplog.set_level("INFO", logger="realtime_serve")
    async with front.chat("my secret", max_tokens=5) as response:
        await response.read()
    await asyncio.sleep(0)
    (line,) = [record for record in caplog.records if record.name == "realtime_serve.requests"]
    assert line.fields["request_id"] == response.headers["X-Request-Id"]
    assert (line.fields["outcome"], line.fields["completion_tokens"]) == ("length", 5)
    assert (line.fields["kind"], line.fields["model"], line.fields["version"]) == ("chat", "chat", "1.0.0")
    assert "secret" not in str([record.__dict__ for record in caplog.records])


def version(status):
    return status["models"]["chat"]["versions"]["1.0.0"]
