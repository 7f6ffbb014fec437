"""Swaps on a real cluster, each under live streams. Whatever is done to the rollout, no stream is cut, mixed or garbled."""

import json
import urllib.error
import urllib.request

import pytest

from tests.support.models import (
    ROLLOUT_SECONDS,
    TINY,
    TORN,
    condition,
    downloads,
    in_phase,
    merged,
    settled_on,
    tiny_model,
)
from tests.support.traffic import address, harmed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def edit(kube, **changes):
    kube.patch("im", "chat", {"spec": changes})


def edit_version(kube, version):
    edit(kube, model={"version": version})


def pods(kube):
    return {pod["metadata"]["name"] for pod in kube.find("pods", "realtime-serve.io/model=chat")}


def test_a_swap_moves_the_traffic_and_cuts_no_stream(kube, streams):
    fetched = downloads(TINY)
    edit_version(kube, "2.0.0")
    kube.wait("im", "chat", lambda found: found["status"]["active"]["version"] == "2.0.0", ROLLOUT_SECONDS)
    streams.await_started(16, "2.0.0")
    kube.wait("im", "chat", settled_on("2.0.0"), ROLLOUT_SECONDS)
    summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) == {"1.0.0", "2.0.0"}
    assert downloads(TINY) > fetched  # each pod has a cache of its own here, so the count works


def test_pods_that_share_a_claim_download_once(kube, image, start_operator):
    start_operator()
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    shared = tiny_model(
        image,
        model={"cache": {"claimName": "weights"}},
        server={
            "env": [
                *tiny_model(image)["spec"]["server"]["env"],
                {"name": "HF_HOME", "value": f"/cache/{kube.namespace}"},
            ]
        },
    )
    kube.apply(claim, shared)
    kube.wait("im", "chat", settled_on("1.0.0"), ROLLOUT_SECONDS)
    fetched = downloads(TINY)
    edit(kube, model={"version": "2.0.0"}, replicas=2)
    kube.wait("im", "chat", settled_on("2.0.0"), ROLLOUT_SECONDS)
    assert len(pods(kube)) >= 2
    assert downloads(TINY) == fetched


FAILING = {
    "weights that were torn": (
        {
            "model": {"uri": f"hf://{TORN}"},
            "rollout": {"progressDeadlineSeconds": 75},
        },  # a process must start and end
        "CrashLooping",
        "weights cannot be read",
    ),
    "an image that does not exist": (
        {
            "server": {"image": "localhost:5000/realtime-serve/server:no-such-tag"},
            "rollout": {"progressDeadlineSeconds": 25},
        },
        "ImagePullFailed",
        "no-such-tag",
    ),
    "a GPU that is not there": (
        {"gpu": {"count": 9}, "rollout": {"progressDeadlineSeconds": 25}},
        "Unschedulable",
        "nvidia.com/gpu",
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_green_that_fails_leaves_blue_alone_and_says_why(kube, streams, case):
    change, reason, words = FAILING[case]
    before = pods(kube)
    edit(kube, **merged(change, {"model": {"version": "2.0.0"}}))
    model = kube.wait("im", "chat", in_phase("Failed"), ROLLOUT_SECONDS)
    progressing = condition(model, "Progressing")
    assert progressing["status"] == "False"
    assert progressing["reason"] == reason, progressing
    assert words in progressing["message"]
    assert condition(model, "Available")["status"] == "True"
    assert model["status"]["active"]["version"] == "1.0.0"
    assert before <= pods(kube)
    summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) == {"1.0.0"}


def test_of_three_edits_in_a_row_the_last_one_wins(kube, streams):
    for version in ("2.0.0", "3.0.0", "4.0.0"):
        edit_version(kube, version)
    kube.wait("im", "chat", settled_on("4.0.0"), ROLLOUT_SECONDS)
    summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) <= {"1.0.0", "4.0.0"}


def test_going_back_in_mid_rollout_stops_the_preview_and_nothing_else(kube, streams):
    before = pods(kube)
    edit_version(kube, "2.0.0")
    kube.wait("im", "chat", in_phase("Preparing"))
    edit_version(kube, "1.0.0")
    model = kube.wait("im", "chat", settled_on("1.0.0"), ROLLOUT_SECONDS)
    assert before <= pods(kube)
    assert condition(model, "Ready")["status"] == "True"
    summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) == {"1.0.0"}


@pytest.mark.parametrize("moment", ["Preparing", "Promoting", "Draining"])
def test_an_operator_killed_in_mid_rollout_costs_time_only(kube, serving, streams, start_operator, moment):
    edit_version(kube, "2.0.0")
    # A phase may be so short that the next one is what is seen first.
    later = ["Preparing", "Promoting", "Draining"]
    kube.wait("im", "chat", in_phase(*later[later.index(moment) :]), ROLLOUT_SECONDS)
    serving.process.kill()
    serving.process.wait()
    start_operator()
    kube.wait("im", "chat", settled_on("2.0.0"), ROLLOUT_SECONDS)
    summary = streams.stop()
    assert harmed(summary) == []
    assert "2.0.0" in summary["versions"] or moment == "Preparing"


def test_a_live_limit_reaches_the_pods_without_a_restart(kube, serving):
    before = pods(kube)
    edit(kube, limits={"maxTokens": 7})
    generation = kube.get("im", "chat")["metadata"]["generation"]
    words = f"1/1 pods run generation {generation}"
    kube.wait("im", "chat", lambda model: words in condition(model, "Ready")["message"], 60)
    error = refused(f"{address(kube)}/v1/completions", {"model": "chat", "prompt": "a", "max_tokens": 8})
    assert error["param"] == "max_tokens"
    assert "7" in error["message"]
    assert pods(kube) == before


def refused(url, body):
    """What the server says of a request that it refuses."""
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)
    return json.load(raised.value)["error"]


def test_deleting_the_model_removes_all_that_was_made_for_it(kube, serving):
    kube.run("delete", "im", "chat")
    for kind in ("deployment", "service", "configmap", "pdb", "pod"):
        kube.run("wait", kind, "-l", "realtime-serve.io/model=chat", "--for=delete", "--timeout=120s")
