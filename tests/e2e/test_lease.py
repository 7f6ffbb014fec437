"""Leader election on the real API server, with terms short enough to see them end."""

import asyncio

import pytest

from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client
from inference_operator.cluster.lease import Lease, Terms
from inference_operator.errors import LeaseLost

pytestmark = pytest.mark.cluster

TERMS = Terms(duration=2, deadline=1.2, retry=0.2)


class Clock:
    """Time that a test moves on, as if the process had been stopped meanwhile."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def candidate(client, namespace):
    def make(identity, **more):
        lease = {"namespace": namespace, "name": "leader", "terms": TERMS}
        return Lease(client=client, identity=identity, **lease | more)

    return make


async def holder(client, namespace):
    return (await client.get(kinds.LEASE, namespace, "leader"))["spec"]["holderIdentity"]


async def write_holder(client, namespace, identity):
    found = await client.get(kinds.LEASE, namespace, "leader")
    found["spec"]["holderIdentity"] = identity
    await client.replace(kinds.LEASE, namespace, found)


async def test_of_many_candidates_one_leads(candidate, client, namespace):
    acquiring = {name: asyncio.create_task(candidate(name).acquire()) for name in "abcde"}
    done, waiting = await asyncio.wait(acquiring.values(), return_when=asyncio.FIRST_COMPLETED)
    leaders = [name for name, task in acquiring.items() if task in done]
    for task in waiting:
        task.cancel()
    assert leaders == [await holder(client, namespace)]


async def test_a_leader_that_renews_keeps_the_lease(candidate, client, namespace):
    clock = Clock()
    leader, other = candidate("leader"), candidate("other", clock=clock)
    await leader.acquire()
    for _ in range(3):
        assert not await other._try()
        clock.now += TERMS.duration / 2
        assert await leader._try()
    assert await holder(client, namespace) == "leader"


async def test_a_leader_that_is_silent_is_replaced_when_its_term_ends(candidate, client, namespace):
    clock = Clock()
    await candidate("gone").acquire()
    successor = candidate("successor", clock=clock)
    assert not await successor._try()
    clock.now += TERMS.duration - 0.1
    assert not await successor._try()
    clock.now += 0.1
    assert await successor._try()
    assert await holder(client, namespace) == "successor"
    assert (await client.get(kinds.LEASE, namespace, "leader"))["spec"]["leaseTransitions"] == 1


async def test_a_lease_that_is_released_is_taken_at_once(candidate, client, namespace):
    first = candidate("first")
    await first.acquire()
    await first.release()
    assert await candidate("second")._try()
    assert await holder(client, namespace) == "second"


async def test_a_leader_that_finds_another_in_its_place_has_lost(candidate, client, namespace):
    leader = candidate("leader")
    await leader.acquire()
    await write_holder(client, namespace, "usurper")
    with pytest.raises(LeaseLost):
        await leader.hold()


async def test_a_write_that_somebody_else_made_to_the_lease_is_no_loss(candidate, client, namespace):
    leader = candidate("leader")
    await leader.acquire()
    await write_holder(client, namespace, "leader")
    assert await leader._try()


async def test_a_leader_that_cannot_renew_gives_up_before_its_term_ends(candidate, client, namespace):
    leader = candidate("leader")
    await leader.acquire()
    leader.namespace = "no-such-namespace"
    with pytest.raises(LeaseLost):
        await leader.hold()
    assert leader.clock() - leader._changed < TERMS.duration + 1


async def test_a_process_that_was_stopped_for_too_long_writes_nothing(candidate, client, namespace):
    clock = Clock()
    leader = candidate("leader", clock=clock)
    await leader.acquire()
    guarded = Client(api=client.api, guard=leader.check)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "before"}}
    await guarded.create(kinds.CONFIG_MAP, namespace, body)
    clock.now += TERMS.duration
    with pytest.raises(LeaseLost):
        await guarded.create(kinds.CONFIG_MAP, namespace, {**body, "metadata": {"name": "after"}})
    assert await client.get(kinds.CONFIG_MAP, namespace, "after") is None


@pytest.mark.parametrize("terms", [(1, 2, 0.5), (3, 2, 2), (3, 2, 0)])
def test_terms_that_make_no_sense_are_refused(terms):
    with pytest.raises(ValueError, match="retry < deadline < duration"):
        Terms(*terms)


async def test_a_process_that_has_lost_the_lease_writes_nothing(candidate, client, namespace):
    leader = candidate("leader")
    await leader.acquire()
    await write_holder(client, namespace, "usurper")
    assert not await leader._try()
    with pytest.raises(LeaseLost):
        leader.check()
