"""Whatever the API server does to the operator's calls: it comes to the right end, and no stream is harmed."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.api_proxy import Call, Fault
from tests.support.fault_bench import FaultBench, fault_bench
from tests.support.models import settled_on

pytestmark = [pytest.mark.plane, pytest.mark.timeout(400)]

NO_CAUSE = {"reason": "Invalid", "details": {"causes": []}}


@pytest.fixture
async def bench(plane, tmp_path):
    async with fault_bench(plane, tmp_path) as made:
        yield made
        assert made.harm() == []


def any_call(_call: Call) -> bool:
    return True


def writes(call: Call) -> bool:
    return call.writes


ANSWERS = {
    "conflict": {"status": 409, "body": {"reason": "Conflict"}},
    "a failed test": {"status": 422, "body": NO_CAUSE},
    "too many requests": {"status": 429, "headers": {"Retry-After": "1"}},
    "an internal error": {"status": 500},
    "unavailable": {"status": 503},
    "an expired token": {"status": 401},
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_writes_that_are_refused_for_a_while_are_done_later(bench: FaultBench, answer):
    fault = bench.proxy.inject(Fault(writes, times=6, **answer))
    await bench.swap("2.0.0")
    assert fault.hit == 6


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_writes_whose_answer_is_lost_are_not_done_twice(bench: FaultBench, answer):
    fault = bench.proxy.inject(Fault(writes, times=6, done=True, **answer))
    await bench.swap("2.0.0")
    assert fault.hit == 6
    fleets = await asyncio.to_thread(bench.kube.find, "deployments")
    assert len(fleets) == 2


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_reads_that_fail_for_a_while_decide_nothing(bench: FaultBench, status):
    fault = bench.proxy.inject(Fault(lambda call: not call.writes, times=6, status=status))
    await bench.swap("2.0.0")
    assert fault.hit == 6


@pytest.mark.parametrize("done", [False, True], ids=["before it was done", "after it was done"])
async def test_a_write_that_is_never_answered_is_given_up_and_looked_at_again(bench: FaultBench, done):
    fault = bench.proxy.inject(Fault(writes, times=2, done=done))
    await bench.swap("2.0.0")
    assert fault.hit == 2


@pytest.mark.parametrize("kind", ["truncate", "expire", "fail"])
async def test_a_watch_that_breaks_is_begun_anew(bench: FaultBench, kind):
    fault = bench.proxy.inject(Fault(any_call, times=20, watch=kind))
    await bench.proxy.end_watches()
    await bench.swap("2.0.0")
    assert fault.hit


async def test_a_watch_that_falls_silent_is_noticed(bench: FaultBench):
    fault = bench.proxy.inject(Fault(any_call, times=12, watch="stall"))
    await bench.proxy.end_watches()
    await bench.swap("2.0.0", seconds=200)
    assert fault.hit


async def test_an_api_server_that_restarts_amid_a_rollout_costs_time_and_nothing_else(
    bench: FaultBench, plane
):
    await bench.edit({"model": {"version": "2.0.0"}})
    await asyncio.to_thread(plane.restart, "kube-apiserver")
    await bench.wait(settled_on("2.0.0"))


async def test_a_store_that_stands_still_amid_a_rollout_costs_time_and_nothing_else(bench: FaultBench, plane):
    await bench.edit({"model": {"version": "2.0.0"}})
    with plane.paused("etcd"):
        await asyncio.sleep(20)  # longer than any call of the operator waits
    await bench.wait(settled_on("2.0.0"))
