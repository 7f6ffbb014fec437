"""What a real collector gets of the requests of a real front end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

import msgspec
import pytest

from hack.ports import free_port
from realtime_serve.callers.caller import ANYONE
from realtime_serve.generation.request import GenerationRequest, Origin
from realtime_serve.tracing.span import Trace
from realtime_serve.web.jobs import read_job
from tests.support.front_end import events, named_events

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
SERVER, UNSET, ERROR = 2, 0, 2
LONG = {"max_tokens": 2000, "ignore_eos": True, "stream": True}
HELLO = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}


def ask(front, path="/v1/completions", *, headers=CALLED, **fields):
    body = {"model": "chat", "prompt": "abc", **fields}
    return front.client.post(path, json=body, headers=headers)


async def test_a_request_is_a_span_below_its_callers(traced, collecting):
    async with traced() as front:
        async with ask(front, max_tokens=6, temperature=0.5, seed=3, n=2) as response:
            answer = await response.json()
        (span,) = await collecting.seen()
    assert (span.trace, span.parent, span.kind) == (TRACE, PARENT, SERVER)
    assert (span.name, span.status, span.message) == ("text_completion chat", UNSET, "")
    first = span.events["first_token"]
    assert 0 < first <= span.seconds
    queued = span.attributes.pop("realtime_serve.queue_seconds")
    assert 0 <= queued <= first
    assert span.attributes.pop("gen_ai.response.time_to_first_chunk") == pytest.approx(first, abs=1e-6)
    assert span.attributes == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "realtime_serve",
        "gen_ai.output.type": "text",
        "gen_ai.request.model": "chat",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 6,
        "gen_ai.request.seed": 3,
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.model": "chat",
        "gen_ai.response.finish_reasons": ["length", "length"],
        "gen_ai.usage.input_tokens": answer["usage"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": 12,
        "realtime_serve.request_id": response.headers["X-Request-Id"],
        "realtime_serve.model_version": "1.0.0",
        "realtime_serve.priority": "normal",
    }


async def test_every_way_to_ask_is_traced(traced, collecting):
    async with traced() as front:
        async with front.client.post("/v1/chat/completions", json=HELLO, headers=CALLED) as response:
            await response.read()
        for path in ("/infer", "/infer_stream"):
            async with ask(front, path, max_tokens=3) as response:
                await response.read()
        async with ask(front, "/v1/jobs", max_tokens=3) as response:
            assert response.status == 202
        spans = await collecting.seen(4)
    assert [span.name for span in spans] == ["chat chat", *["text_completion chat"] * 3]
    assert {(span.trace, span.parent) for span in spans} == {(TRACE, PARENT)}


def test_a_job_that_another_server_takes_over_stays_in_its_trace():
    trace = Trace("00-1", "vendor=1")
    kept = msgspec.json.encode(read_job(json.dumps(HELLO).encode(), Origin("id", ANYONE, "", trace)))
    assert msgspec.json.decode(kept, type=GenerationRequest).trace == trace


async def test_the_log_names_the_trace(traced, collecting, caplog):
    caplog.set_level(logging.INFO)
    async with traced() as front:
        async with ask(front, max_tokens=2, headers={}) as response:
            await response.read()
        (span,) = await collecting.seen()
    lines = [record.fields for record in caplog.records if record.getMessage() == "request"]
    assert [line["trace_id"] for line in lines] == [span.trace]
    assert span.parent == ""


async def test_without_a_tracer_the_log_names_none(traced, caplog):
    caplog.set_level(logging.INFO)
    async with traced() as front:
        front.serving.tracer = None
        async with ask(front, max_tokens=2) as response:
            await response.read()
    assert ["trace_id" in record.fields for record in caplog.records if record.getMessage() == "request"] == [
        False
    ]


async def test_a_trace_that_its_caller_does_not_sample_is_not_sent_and_still_named(
    traced, collecting, caplog
):
    caplog.set_level(logging.INFO)
    async with traced() as front:
        async with ask(front, max_tokens=2, headers=UNSAMPLED) as response:
            await response.read()
        async with ask(front, max_tokens=3) as response:
            await response.read()
    assert [span.attributes["gen_ai.request.max_tokens"] for span in collecting.spans] == [3]
    lines = [record.fields for record in caplog.records if record.getMessage() == "request"]
    assert [line["trace_id"] for line in lines] == [TRACE, TRACE]


@pytest.mark.parametrize("parent", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", "00-" + "f" * 4000])
async def test_a_broken_header_begins_a_trace_of_its_own(traced, collecting, parent):
    async with traced() as front:
        async with ask(front, max_tokens=2, headers={"traceparent": parent}) as response:
            assert response.status == 200
        (span,) = await collecting.seen()
    assert span.parent == ""
    assert len(span.trace) == 32


async def test_a_client_that_leaves_is_no_error(traced, collecting):
    async with traced(step_seconds=0.005) as front:
        async with ask(front, **LONG) as response:
            await response.content.readuntil(b"\n\n")
        (span,) = await collecting.seen()
    assert (span.status, span.attributes["error.type"]) == (UNSET, "client_disconnected")
    assert "gen_ai.response.finish_reasons" not in span.attributes
    assert span.attributes["gen_ai.usage.output_tokens"] > 0


async def test_a_job_that_is_cancelled_is_no_error(traced, collecting):
    async with traced(step_seconds=0.005) as front:
        async with ask(front, "/v1/jobs", max_tokens=2000, ignore_eos=True) as response:
            job = (await response.json())["job_id"]
        async with front.client.post(f"/v1/jobs/{job}/cancel") as response:
            assert response.status == 200
        (span,) = await collecting.seen()
    assert (span.status, span.attributes["error.type"]) == (UNSET, "cancelled")


async def test_a_stream_that_breaks_is_an_error(traced, collecting):
    async with traced(step_seconds=0.005, settings={"limits": {"requestTimeoutSeconds": 1}}) as front:
        async with ask(front, **LONG) as response:
            last = (await events(response))[-1]
        (span,) = await collecting.seen()
    assert last["error"]["code"] == "request_timeout"
    assert (span.status, span.message) == (ERROR, "request_timeout")
    assert span.attributes["error.type"] == "request_timeout"
    assert "first_token" in span.events


async def test_a_refusal_is_an_error_without_a_first_token(traced, collecting):
    async with traced() as front:
        async with ask(front, max_tokens=5000) as response:
            assert response.status == 400
        (span,) = await collecting.seen()
    assert (span.status, span.attributes["error.type"]) == (ERROR, "invalid_value")
    assert (span.events, span.attributes["gen_ai.usage.input_tokens"]) == ({}, 0)


async def test_no_text_and_no_key_leaves_the_server(traced, collecting):
    secrets = ["my prompt", "my stop", "my key", "my schema"]
    schema = {"type": "object", "properties": {"my schema": {"type": "string"}}}
    headers = {**CALLED, "Authorization": "Bearer my key"}
    async with traced() as front:
        async with ask(
            front, prompt="my prompt", stop="my stop", max_tokens=30, headers=headers, user="my key"
        ) as response:
            assert "my prompt" in (await response.json())["choices"][0]["text"]
        async with ask(front, "/infer", json_schema=schema, max_tokens=30, headers=headers) as response:
            await response.read()
        await collecting.seen(2)
    assert [secret for secret in secrets if secret.encode() in collecting.raw] == []


async def test_the_standard_variables_name_the_service_and_the_collectors_headers(traced, collecting, caplog):
    caplog.set_level(logging.DEBUG)
    variables = {
        "OTEL_SERVICE_NAME": "answers",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.version=7",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-token=very-secret",
    }
    async with traced(**variables) as front:
        async with ask(front, max_tokens=1) as response:
            await response.read()
        (span,) = await collecting.seen()
    wanted = {"service.name": "answers", "service.version": "7", "deployment.environment.name": "test"}
    assert wanted.items() <= span.resource.items()
    assert collecting.headers[0]["x-token"] == "very-secret"
    assert "very-secret" not in caplog.text


async def test_without_them_the_service_has_our_name(traced, collecting):
    async with traced() as front:
        async with ask(front, max_tokens=1) as response:
            await response.read()
        (span,) = await collecting.seen()
    assert (span.resource["service.name"], span.resource["service.version"]) == ("realtime-serve", "0.1.0")


async def test_the_standard_variable_samples(traced, collecting):
    async with traced(OTEL_TRACES_SAMPLER="always_off") as front, ask(front, max_tokens=1) as response:
        await response.read()
    assert collecting.spans == []


async def test_a_collector_that_is_not_there_harms_no_stream(traced):
    dead = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    async with traced(**dead, OTEL_BSP_MAX_QUEUE_SIZE="4", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2") as front:
        assert await asyncio.gather(*[text(front) for _ in range(40)]) == ["abcabcab"] * 40


async def test_a_collector_that_does_not_answer_harms_no_stream_and_no_end(traced, collecting, monkeypatch):
    monkeypatch.setattr("realtime_serve.tracing.otlp.FLUSH_SECONDS", 0.2)
    collecting.answers.clear()
    async with traced(OTEL_BSP_MAX_QUEUE_SIZE="4", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2") as front:
        assert await asyncio.gather(*[text(front) for _ in range(40)]) == ["abcabcab"] * 40
    collecting.answers.set()


async def text(front):
    async with ask(front, "/infer_stream", max_tokens=8) as response:
        found = await named_events(response)
    return "".join(data["text"] for name, data in found if name == "token")


async def test_the_last_spans_are_sent_when_the_server_stops(traced, collecting):
    async with contextlib.AsyncExitStack() as stack:
        front = await stack.enter_async_context(traced(OTEL_BSP_SCHEDULE_DELAY="3600000"))
        async with ask(front, max_tokens=1) as response:
            await response.read()
        assert collecting.spans == []
    assert len(collecting.spans) == 1
