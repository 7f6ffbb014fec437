"""Workers and what they do with the outcome of a run."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from inference_operator.controller.key import Key
from inference_operator.controller.metrics import Metrics
from inference_operator.controller.queue import Backoff, WorkQueue
from inference_operator.controller.work import Worker
from inference_operator.errors import ClusterError, LeaseLost, NamespaceEnding, StaleObservation

CHAT = Key("default", "chat")
OTHER = Key("default", "other")


@pytest.fixture
async def queue():
    return WorkQueue(backoff=Backoff(first=0.001, longest=0.001))


@pytest.fixture
def registry():
    return CollectorRegistry()


def make_worker(queue, registry, reconcile):
    return Worker(queue=queue, reconcile=reconcile, metrics=Metrics(registry))


def counted(registry, result):
    return registry.get_sample_value("inference_operator_reconciles_total", {"result": result})


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (StaleObservation("somebody wrote first"), "stale"),
        (ClusterError("no answer"), "failed"),
        (ZeroDivisionError("a bug"), "failed"),
    ],
)
async def test_a_run_that_fails_is_tried_again(queue, registry, error, result):
    outcomes = [error, error, None]

    async def reconcile(_key):
        outcome = outcomes.pop(0)
        if outcome is None:
            queue.stop()
            return
        raise outcome

    queue.add(CHAT)
    await make_worker(queue, registry, reconcile).run()
    assert counted(registry, result) == 2
    assert counted(registry, "done") == 1


async def test_a_model_whose_namespace_ends_is_left_alone(queue, registry):
    served = []

    async def reconcile(key):
        served.append(key)
        if key == OTHER:
            queue.stop()
            return
        raise NamespaceEnding("it is being terminated")

    queue.add(CHAT)
    queue.add(OTHER)
    await make_worker(queue, registry, reconcile).run()
    assert served == [CHAT, OTHER]
    assert counted(registry, "failed") is None


async def test_a_bug_in_one_model_leaves_the_others_alone(queue, registry):
    served = []

    async def reconcile(key):
        if key == CHAT:
            raise KeyError("a bug")
        served.append(key)
        queue.stop()

    queue.add(CHAT)
    queue.add(OTHER)
    await make_worker(queue, registry, reconcile).run()
    assert served == [OTHER]


async def test_a_run_says_when_it_wants_the_next(queue, registry):
    runs = []

    async def reconcile(key):
        runs.append(key)
        if len(runs) == 3:
            queue.stop()
        return 0.001

    queue.add(CHAT)
    await make_worker(queue, registry, reconcile).run()
    assert runs == [CHAT] * 3


async def test_a_lost_lease_ends_the_worker(queue, registry):
    async def reconcile(_key):
        raise LeaseLost("another leads")

    queue.add(CHAT)
    with pytest.raises(LeaseLost):
        await make_worker(queue, registry, reconcile).run()


async def test_two_workers_share_the_keys_and_never_one_key(queue, registry):
    both_in = asyncio.Barrier(2)
    running, seen = set(), []

    async def reconcile(key):
        assert key not in running
        running.add(key)
        await both_in.wait()
        running.discard(key)
        seen.append(key)
        queue.stop()

    worker = make_worker(queue, registry, reconcile)
    queue.add(CHAT)
    queue.add(OTHER)
    await asyncio.gather(worker.run(), worker.run())
    assert set(seen) == {CHAT, OTHER}


async def test_a_model_that_others_write_to_is_looked_at_again_soon_each_time(registry):
    queue = WorkQueue()
    delays = [queue.retry(CHAT, at_most=2.0) for _ in range(12)]
    assert max(delays) == 2.0
    assert queue.retry(OTHER) < 1.0
    queue.stop()
