"""The operator as a process: what it does to the cluster, how it starts, and how it ends."""

import json
import time

import pytest

from hack.kube import NeverCame, read_objects
from inference_operator import names, spec
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.cluster

MODEL = {
    "apiVersion": "realtime-serve.io/v1alpha1",
    "kind": "InferenceModel",
    "metadata": {"name": "chat"},
    "spec": {
        "model": {"uri": "file:///model", "version": "1.0.0"},
        "gpu": {"count": 0},
        "server": {"image": "localhost:5000/no-such-image:1", "nodeSelector": {"there-is": "no-such-node"}},
    },
}
"""Its pods wait for ever, so that what is seen is the operator's doing alone."""


@pytest.fixture
def start(cluster, namespace, tmp_path):
    """Start operators that serve the test's namespace alone."""
    running = []

    def run(*options):
        log = tmp_path / f"operator-{len(running)}.log"
        mine = ("--namespace", namespace, "--lease", "operator", "--lease-namespace", namespace)
        running.append(OperatorProcess(cluster.kubeconfig, log, *mine, *options))
        return running[-1]

    yield run
    for process in running:
        process.__exit__()


def phase(model):
    return model.get("status", {}).get("phase")


def test_a_model_gets_its_children_and_a_status_and_no_finalizer(start, kube):
    kube.apply(MODEL)
    start()
    model = kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    assert "finalizers" not in model["metadata"]
    assert set(model["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert model["status"]["observedGeneration"] == model["metadata"]["generation"]
    children = [
        child
        for kind in ("deployment", "service", "configmap", "pdb")
        for child in kube.find(kind, "realtime-serve.io/model=chat")
    ]
    assert len(children) == 5
    for child in children:
        assert "finalizers" not in child["metadata"]
        assert "kopf" not in json.dumps(child["metadata"])
        assert child["metadata"]["ownerReferences"][0]["uid"] == model["metadata"]["uid"]


def test_a_fleet_takes_the_first_name_that_no_stranger_has(start, kube):
    revision = spec.revision(spec.parse(MODEL["spec"]))
    first, second, third = names.fleet_candidates("chat", revision)
    kube.run("create", "configmap", names.settings(first), "--from-literal=whose=theirs")
    kube.run("create", "deployment", second, "--image=localhost:5000/no-such-image:1", "--replicas=0")
    kube.apply(MODEL)
    start()
    kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    ours = kube.find("deployment", "realtime-serve.io/model=chat")
    assert [fleet["metadata"]["name"] for fleet in ours] == [third]
    assert kube.get("configmap", names.settings(first))["data"] == {"whose": "theirs"}
    assert "ownerReferences" not in kube.get("deployment", second)["metadata"]


def test_children_go_with_their_model_even_without_an_operator(start, kube):
    kube.apply(MODEL)
    operator = start()
    kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    operator.terminate()
    kube.run("delete", "im", "chat")
    for kind in ("deployment", "service", "configmap", "pdb"):
        kube.run("wait", kind, "-l", "realtime-serve.io/model=chat", "--for=delete", "--timeout=60s")


def test_a_step_is_told_as_an_event(start, kube):
    kube.apply(MODEL)
    start()
    kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    reasons = [
        event["reason"]
        for event in kube.find("events")
        if event["involvedObject"]["kind"] == "InferenceModel"
    ]
    assert "FleetCreated" in reasons


def test_a_child_that_is_deleted_comes_back(start, kube):
    kube.apply(MODEL)
    start()
    kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    first = kube.get("service", "chat")["metadata"]["uid"]
    kube.run("delete", "service", "chat")
    kube.wait("service", "chat", lambda found: found["metadata"]["uid"] != first)


def test_clients_are_refused_and_not_ignored_where_their_secrets_may_not_be_read(start, kube):
    clients = [{"name": "web", "secretRef": "web-key"}]
    kube.apply({**MODEL, "spec": {**MODEL["spec"], "clients": clients}})
    start("--client-secrets=false")
    model = kube.wait("im", "chat", lambda found: phase(found) == "Invalid")
    ready = next(found for found in model["status"]["conditions"] if found["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "SecretsForbidden")
    assert "rbac.clientSecrets" in ready["message"]
    assert kube.find("deployment") == []


def test_what_the_api_server_refuses_is_told_to_the_user(start, kube):
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    kube.apply(
        {**MODEL, "spec": {**MODEL["spec"], "server": {**MODEL["spec"]["server"], "affinity": affinity}}}
    )
    start()
    event = wait_for_event(kube, "RefusedByCluster")
    assert event["type"] == "Warning"
    assert "nodeSelectorTerms" in event["message"]
    model = kube.wait("im", "chat", lambda found: found.get("status"))
    told = {found["type"]: (found["status"], found["reason"]) for found in model["status"]["conditions"]}
    assert told["Degraded"] == ("True", "RefusedByCluster")
    assert told["Ready"] == ("False", "RefusedByCluster")


def wait_for_event(kube, reason):
    with kube._stream("get", "events", "-o", "json", "--watch", seconds=60) as output:
        for event in read_objects(output):
            if event["reason"] == reason:
                return event
    raise NeverCame(reason)


def test_at_rest_nothing_is_written(start, kube):
    kube.apply(MODEL)
    operator = start("--resync-seconds", "1")
    kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    kube.wait("im", "chat", lambda found: "Unschedulable" in json.dumps(found["status"]))
    resyncs(operator, 2)
    before = writes(operator)
    resyncs(operator, 3)
    assert writes(operator) == before


def resyncs(operator, number):
    """Wait until so many more resyncs have been worked off."""
    end = done(operator) + number
    while done(operator) < end:
        time.sleep(0.2)  # the metrics page cannot be watched


def done(operator):
    return sum(
        value
        for name, value in samples(operator)
        if name == 'inference_operator_reconciles_total{result="done"}'
    )


def writes(operator):
    """Writes but for the lease's renewals."""
    verbs = ("create", "apply", "patch", "delete")
    return {
        name: value
        for name, value in samples(operator)
        if "api_requests_total" in name and any(f'verb="{v}"' in name for v in verbs)
    }


def samples(operator):
    for line in operator.get("/metrics")[1].splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, float(value)


def test_an_operator_that_is_told_to_end_does_so_and_hands_over(start, kube):
    first = start()
    first.wait_until_leading()
    second = start()
    assert second.listens.wait(60)
    assert second.health()["leads"] is False
    assert first.terminate(20) == 0
    second.wait_until_leading(10)
    kube.apply(MODEL)
    kube.wait("im", "chat", lambda found: phase(found) == "Preparing")


def test_an_operator_that_waits_for_the_lease_can_be_ended_too(start):
    start().wait_until_leading()
    second = start()
    assert second.listens.wait(60)
    assert second.terminate(20) == 0


def test_an_operator_that_loses_its_lease_exits(start, kube):
    operator = start()
    operator.wait_until_leading()
    kube.patch("lease", "operator", {"spec": {"holderIdentity": "usurper"}})
    assert operator.process.wait(30) == 1
    assert "is lost" in operator.log.read_text()


def test_a_killed_operator_leaves_work_that_the_next_one_ends(start, kube):
    kube.apply(MODEL)
    first = start()
    kube.wait("service", "chat", lambda _: True)
    first.process.kill()
    start()
    model = kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    assert len(kube.find("deployment", "realtime-serve.io/model=chat")) == 1
    assert model["status"]["target"]["version"] == "1.0.0"


def test_health_and_metrics_tell_of_the_work(start, kube):
    kube.apply(MODEL)
    operator = start()
    operator.wait_until_leading()
    kube.wait("im", "chat", lambda found: phase(found) == "Preparing")
    status, said = operator.get("/healthz")
    assert status == 200
    assert json.loads(said)["leads"] is True
    values = dict(samples(operator))
    assert values["inference_operator_leader"] == 1
    labels = f'model="chat",namespace="{kube.namespace}",phase="Preparing"'
    assert values[f"inference_operator_model_phase{{{labels}}}"] == 1
