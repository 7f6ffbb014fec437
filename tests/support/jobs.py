"""Jobs as their clients ask for them."""

from __future__ import annotations

from tests.support.event_source import EventSource

IDLE = {"waiting": 0, "running": 0}


async def begin(front, prompt="abc", *, key=None, status=202, **fields):
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"model": "chat", "prompt": prompt, **fields}
    async with front.client.post("/v1/jobs", json=body, headers=headers) as response:
        answer = await response.json()
        assert response.status == status, answer
    return answer


async def source(front, prompt="abc", **fields) -> EventSource:
    return EventSource(front.client, (await begin(front, prompt, **fields))["job_id"])


async def ask(front, path, *, method="GET", **more):
    async with front.client.request(method, path, **more) as response:
        return response.status, (
            await response.json() if response.content_type == "application/json" else None
        )


async def card(front, job_id):
    return (await ask(front, f"/v1/jobs/{job_id}"))[1]


async def idle(front):
    return await front.settle(
        lambda status: status["queues"]["chat"] == IDLE and status["streams"]["active"] == 0
    )


async def cancel(front, job_id):
    status, answer = await ask(front, f"/v1/jobs/{job_id}/cancel", method="POST")
    assert status == 200
    return answer
