"""A key makes a job that is asked for twice one job."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.jobs import ask, begin

pytestmark = pytest.mark.slow


async def test_the_same_key_and_body_are_the_same_job(front):
    first = await begin(front, key="k", max_tokens=5)
    assert await begin(front, key="k", max_tokens=5) == first
    assert await begin(front, key="other", max_tokens=5) != first
    answer = await begin(front, key="k", max_tokens=6, status=422)
    assert answer["error"]["code"] == "idempotency_mismatch"


async def test_a_key_counts_for_one_client_alone(front):
    body = {"model": "chat", "prompt": "abc", "max_tokens": 5}
    ids = set()
    for token in ("one", "two", "two"):
        headers = {"Idempotency-Key": "k", "Authorization": f"Bearer {token}"}
        ids.add((await ask(front, "/v1/jobs", method="POST", json=body, headers=headers))[1]["job_id"])
    assert len(ids) == 2


async def test_a_key_whose_job_was_refused_is_free_again(front):
    await begin(front, key="k", prompt="a" * 5000, status=400)
    await begin(front, key="k", max_tokens=5)


async def test_many_equal_requests_at_once_begin_one_job(front):
    answers = await asyncio.gather(
        *[
            ask(
                front,
                "/v1/jobs",
                method="POST",
                json={"model": "chat", "prompt": "abc"},
                headers={"Idempotency-Key": "k"},
            )
            for _ in range(8)
        ]
    )
    assert {status for status, _ in answers} <= {202, 409}
    assert len({answer["job_id"] for status, answer in answers if status == 202}) == 1
    conflicts = [answer["error"]["code"] for status, answer in answers if status == 409]
    assert set(conflicts) <= {"idempotency_in_flight"}


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_out_of_bounds_is_refused(front, key):
    assert (await begin(front, key=key, status=400))["error"]["param"] == "Idempotency-Key"
