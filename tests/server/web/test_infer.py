"""POST /infer and /infer_stream."""

from __future__ import annotations

import pytest

from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end, named_events


def infer(front, path="/infer", headers=None, **fields):
    body = {"model": "chat", "prompt": "abc", **fields}
    return front.client.post(path, json=body, headers=headers or {})


async def test_a_whole_answer_has_its_tokens_and_its_text(front):
    async with infer(front, max_tokens=7, priority="high", client_id="me") as response:
        answer = await response.json()
    assert response.status == 200
    assert (answer["model"], answer["version"], answer["text"]) == ("chat", "1.0.0", "abcabca")
    assert "".join(answer["tokens"]) == answer["text"]
    assert answer["request_id"] == response.headers["X-Request-Id"]
    assert (answer["finish_reason"], answer["usage"]) == (
        "length",
        {"prompt_tokens": 3, "completion_tokens": 7},
    )


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/infer_stream", {}),
        ("/infer", {"stream": True}),
        ("/infer", {"headers": {"Accept": "text/event-stream"}}),
    ],
)
async def test_a_stream_has_an_event_a_token_and_an_end(front, path, more):
    async with infer(front, path, max_tokens=50, **more) as response:
        assert response.content_type == "text/event-stream"
        *tokens, (name, end) = await named_events(response)
    assert "".join(data["text"] for _, data in tokens) == ("abc" * 17)[:50]
    assert {name for name, _ in tokens} == {"token"}
    assert (name, end["finish_reason"], end["usage"]["completion_tokens"]) == ("done", "length", 50)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"temperature": 3}, "temperature"),
        ({"priority": "urgent"}, "priority"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(front, fields, param):
    async with infer(front, **fields) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, param)


async def test_a_priority_is_the_requests_own(front):
    async with infer(front, priority="low", max_tokens=2):
        pass
    async with front.client.get("/metrics") as response:
        assert 'priority="low"' in await response.text()


async def test_a_client_that_leaves_takes_its_sequence_along(directory):
    async with front_end(echo_engine(directory, step_seconds=0.01)) as front:
        async with infer(front, "/infer_stream", max_tokens=2000) as response:
            await response.content.readuntil(b"\n\n")
            response.close()
        await front.settle(lambda status: status["queues"]["chat"] == {"waiting": 0, "running": 0})


async def test_an_engine_that_dies_is_told_in_the_stream(directory):
    async with front_end(echo_engine(directory, step_seconds=0.01)) as front:
        async with infer(front, "/infer_stream", max_tokens=2000) as response:
            await response.content.readuntil(b"\n\n")
            front.serving.models.first.current.loaded.engine._process.kill()
            *_tokens, (name, error) = await named_events(response)
        assert (name, error["error"]["code"]) == ("error", "engine_error")
