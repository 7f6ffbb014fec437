"""The operator's writes against the real API server: each holds its precondition, and its failure has a name."""

import asyncio
from datetime import UTC, datetime

import pytest

from inference_operator import names
from inference_operator.actions import AnnotatePod, Apply, Delete, Event, Flip, PatchFleet
from inference_operator.cluster import convert, kinds
from inference_operator.cluster.apply import Executor
from inference_operator.cluster.asking import Questioner
from inference_operator.cluster.events import Recorder
from inference_operator.cluster.observe import Observer
from inference_operator.cluster.pods import PodReader
from inference_operator.cluster.secrets import KeyReader
from inference_operator.cluster.verify import Verifier
from inference_operator.controller.report import Reporter
from inference_operator.errors import Refused, StaleObservation

pytestmark = pytest.mark.cluster

BLUE = {names.LABEL_MODEL: "chat", names.LABEL_FLEET: "blue"}
GREEN = {names.LABEL_MODEL: "chat", names.LABEL_FLEET: "green"}
NO_UID = "00000000-0000-0000-0000-000000000000"
STATUS = {"observedGeneration": 1, "phase": "Pending", "conditions": [], "replicas": 0, "url": "http://chat"}


@pytest.fixture
async def executor(client):
    verifier = Verifier(client=client, questioner=Questioner())
    yield Executor(client=client, verifier=verifier)
    await verifier.close()


@pytest.fixture
async def model(client, namespace):
    body = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "chat"},
        "spec": {"model": {"uri": "file:///model", "version": "1"}},
    }
    return convert.read_model(await client.create(kinds.MODEL, namespace, body))


def service(model=None, **spec):
    owner = {"apiVersion": names.API_VERSION, "kind": names.KIND, "controller": True, "name": "chat"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "chat",
            "labels": {names.LABEL_MODEL: "chat"},
            "ownerReferences": [] if model is None else [{**owner, "uid": model.uid}],
        },
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}], **spec},
    }


def deployment(replicas=0):
    labels = {names.LABEL_MODEL: "chat", names.LABEL_FLEET: "blue"}
    containers = [{"name": "server", "image": "localhost:5000/none"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "blue", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


async def apply_service(executor, client, namespace, selector=None):
    """The Service as the operator makes it, and then its selector as the router's."""
    await executor.perform(namespace, Apply(manifest=service()))
    made = await client.get(kinds.SERVICE, namespace, "chat")
    if selector:
        await executor.perform(namespace, flip(made, {}, selector))
        made = await client.get(kinds.SERVICE, namespace, "chat")
    return made


def flip(observed, expect, selector):
    version = observed["metadata"]["resourceVersion"]
    return Flip(service="chat", resource_version=version, expect=expect, selector=selector)


async def selector_of(client, namespace):
    return (await client.get(kinds.SERVICE, namespace, "chat"))["spec"].get("selector")


async def test_a_flip_moves_the_selector(executor, client, namespace):
    observed = await apply_service(executor, client, namespace, BLUE)
    await executor.perform(namespace, flip(observed, BLUE, GREEN))
    assert await selector_of(client, namespace) == GREEN


async def test_a_flip_decided_on_an_older_service_is_stale(executor, client, namespace):
    observed = await apply_service(executor, client, namespace, BLUE)
    await client.merge(kinds.SERVICE, namespace, "chat", {"metadata": {"annotations": {"a": "b"}}})
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, flip(observed, BLUE, GREEN))
    assert await selector_of(client, namespace) == BLUE


async def test_a_flip_that_expects_another_selector_is_stale(executor, client, namespace):
    observed = await apply_service(executor, client, namespace, BLUE)
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, flip(observed, GREEN, GREEN))
    assert await selector_of(client, namespace) == BLUE


async def test_a_flip_of_a_service_that_is_gone_is_stale(executor, namespace):
    gone = {"metadata": {"resourceVersion": "1"}}
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, flip(gone, {}, GREEN))


async def test_applying_the_service_again_leaves_the_traffic_where_it_is(executor, client, namespace):
    observed = await apply_service(executor, client, namespace, BLUE)
    changed = service(sessionAffinity="ClientIP")
    await executor.perform(namespace, Apply(manifest=changed, uid=observed["metadata"]["uid"]))
    now = await client.get(kinds.SERVICE, namespace, "chat")
    assert now["spec"]["sessionAffinity"] == "ClientIP"
    assert now["spec"]["selector"] == BLUE


async def test_what_exists_is_never_taken_over(executor, client, namespace):
    await client.create(kinds.SERVICE, namespace, service(selector={"app": "somebody-elses"}))
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, Apply(manifest=service()))
    assert await selector_of(client, namespace) == {"app": "somebody-elses"}


async def test_an_object_that_was_replaced_is_not_applied_to(executor, client, namespace):
    await apply_service(executor, client, namespace)
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, Apply(manifest=service(), uid=NO_UID))


async def test_an_object_that_is_gone_is_not_created_under_its_old_uid(executor, client, namespace):
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, Apply(manifest=service(), uid=NO_UID))
    assert await client.get(kinds.SERVICE, namespace, "chat") is None


async def test_a_senseless_object_is_refused_with_the_field(executor, namespace):
    with pytest.raises(Refused, match=r"spec\.type"):
        await executor.perform(namespace, Apply(manifest=service(type="Teapot")))


async def test_a_misspelt_field_is_refused(executor, namespace):
    with pytest.raises(Refused, match="sessionAfinity"):
        await executor.perform(namespace, Apply(manifest=service(sessionAfinity="None")))


async def test_a_fleet_gets_its_size_and_marks_in_one_write(executor, client, namespace):
    made = await apply_fleet(executor, client, namespace)
    await executor.perform(namespace, patch_fleet(made, replicas=2, annotations={names.FAILED: "why"}))
    now = await settled_fleet(client, namespace)
    assert now["spec"]["replicas"] == 2
    assert now["metadata"]["annotations"][names.FAILED] == "why"
    await executor.perform(namespace, patch_fleet(now, annotations={names.FAILED: None}))
    last = await client.get(kinds.DEPLOYMENT, namespace, "blue")
    assert last["spec"]["replicas"] == 2
    assert names.FAILED not in last["metadata"].get("annotations", {})


@pytest.mark.parametrize("field", ["resourceVersion", "uid"])
async def test_a_fleet_that_changed_since_is_not_patched(executor, client, namespace, field):
    made = await apply_fleet(executor, client, namespace)
    made["metadata"][field] = {"resourceVersion": "1", "uid": NO_UID}[field]
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, patch_fleet(made, replicas=2))
    assert (await client.get(kinds.DEPLOYMENT, namespace, "blue"))["spec"]["replicas"] == 0


async def apply_fleet(executor, client, namespace):
    await executor.perform(namespace, Apply(manifest=deployment()))
    return await settled_fleet(client, namespace)


async def settled_fleet(client, namespace):
    """The Deployment after its controller has written what it had to write."""
    before = None
    while True:
        found = await client.get(kinds.DEPLOYMENT, namespace, "blue")
        seen = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
        if seen and found == before:
            return found
        before = found
        await asyncio.sleep(0.3)  # longer than the controller takes between two writes


def patch_fleet(observed, **change):
    meta = observed["metadata"]
    return PatchFleet(fleet="blue", uid=meta["uid"], resource_version=meta["resourceVersion"], **change)


async def test_a_pod_that_is_gone_needs_no_annotation(executor, namespace):
    await executor.perform(namespace, AnnotatePod(pod="gone", uid=NO_UID, annotations={names.DRAIN: "now"}))


async def test_an_object_is_deleted_only_if_it_is_the_one_that_was_seen(executor, client, namespace):
    await executor.perform(namespace, Apply(manifest=deployment()))
    with pytest.raises(StaleObservation):
        await executor.perform(namespace, Delete(kind="Deployment", name="blue", uid=NO_UID))
    made = await client.get(kinds.DEPLOYMENT, namespace, "blue")
    delete = Delete(kind="Deployment", name="blue", uid=made["metadata"]["uid"])
    await executor.perform(namespace, delete)
    assert await client.get(kinds.DEPLOYMENT, namespace, "blue") is None
    await executor.perform(namespace, delete)


async def test_the_status_is_written_once_and_replaced_whole(client, namespace, model):
    reporter = Reporter(client=client)
    assert await reporter.report(model, {**STATUS, "target": {"version": "2"}})
    model = convert.read_model(await client.get(kinds.MODEL, namespace, "chat"))
    assert not await reporter.report(model, dict(model.status))
    assert await reporter.report(model, STATUS)
    assert (await client.get(kinds.MODEL, namespace, "chat"))["status"] == STATUS


async def test_a_status_of_an_older_model_is_stale(client, namespace, model):
    change = {"spec": {"replicas": 3}}
    await client.merge(kinds.MODEL, namespace, "chat", change)
    with pytest.raises(StaleObservation):
        await Reporter(client=client).report(model, STATUS)


async def test_a_status_that_breaks_the_schema_is_refused_and_not_called_stale(client, model):
    with pytest.raises(Refused, match="phase"):
        await Reporter(client=client).report(model, {**STATUS, "phase": 3})


async def test_news_that_repeats_counts_up(client, namespace, model):
    recorder = Recorder(client=client)
    for _ in range(3):
        await recorder.record(model, Event(type="Warning", reason="Trouble", message="It burns."))
    await recorder.record(model, Event(type="Normal", reason="Trouble", message="It burns no more."))
    events = await client.list(kinds.EVENT, namespace)
    counts = {found["message"]: found["count"] for found in events if found["reason"] == "Trouble"}
    assert counts == {"It burns.": 3, "It burns no more.": 1}


async def test_an_event_that_cannot_be_written_stops_nothing(client, model, caplog):
    gone = convert.read_model(
        {"metadata": {**vars_of(model), "namespace": "no-such-namespace"}, "spec": dict(model.spec)}
    )
    await Recorder(client=client).record(gone, Event(type="Normal", reason="News", message="."))
    assert "News" in caplog.text


def vars_of(model):
    return {
        "name": model.name,
        "uid": model.uid,
        "generation": 1,
        "resourceVersion": model.resource_version,
    }


async def test_a_model_that_does_not_exist_is_not_observed(client, namespace):
    assert await Observer(client=client, pods=None, keys=None).observe(namespace, "chat") is None


async def test_an_observation_tells_ours_from_a_strangers(executor, client, namespace, model):
    await client.create(kinds.SERVICE, namespace, service(selector={"app": "somebody-elses"}))
    preview = service(model)
    preview["metadata"]["name"] = "chat-preview"
    await executor.perform(namespace, Apply(manifest=preview))
    pods = PodReader()
    try:
        observed = await Observer(client=client, pods=pods, keys=KeyReader(client=client)).observe(
            namespace, "chat"
        )
    finally:
        await pods.close()
    assert not observed.child("Service", "chat").ours
    assert observed.child("Service", "chat-preview").ours
    assert observed.model == model
    assert abs((datetime.now(UTC) - observed.now).total_seconds()) < 60
