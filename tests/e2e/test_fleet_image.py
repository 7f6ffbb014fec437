"""What the server's image brings along that a pod asks for by fields alone: a compiler, and spans."""

import asyncio
import json
import urllib.request

import pytest

from hack.hub.__main__ import NODE
from tests.support.collector import collector
from tests.support.models import HUB, settled_on, tiny_model
from tests.support.traffic import address, await_reachable

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(700)]

PATIENCE = 600
"""Seconds; compilers take one or two minutes of a busy machine."""
PROMPT = {"model": "chat", "prompt": "one two three", "max_tokens": 8, "ignore_eos": True}


def complete(url: str) -> dict:
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(PROMPT).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


async def test_a_fleet_compiles_its_layers_and_tells_a_collector_of_its_requests(kube, image, start_operator):
    start_operator()
    async with collector(NODE) as collecting:
        env = {"HF_ENDPOINT": HUB, "OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url, "OTEL_SERVICE_NAME": "chat"}
        kube.apply(
            tiny_model(
                image,
                server={
                    "compile": True,
                    "env": [{"name": name, "value": value} for name, value in env.items()],
                },
                rollout={"progressDeadlineSeconds": PATIENCE},
            )
        )
        kube.wait("im", "chat", settled_on("1.0.0"), PATIENCE)
        url = address(kube)
        await_reachable(url)
        answer = await asyncio.to_thread(complete, url)
        (span,) = await collecting.seen()
    assert answer["usage"]["completion_tokens"] == PROMPT["max_tokens"]
    assert span.name == "text_completion chat"
    assert span.resource["service.name"] == "chat"
    log = kube.run("logs", "-l", "realtime-serve.io/model=chat", "--tail=-1")
    said = [json.loads(line)["message"] for line in log.splitlines() if line.startswith("{")]
    assert "compiled" in said
    assert not [line for line in said if "not compiled" in line or line.startswith("decoding without")]
