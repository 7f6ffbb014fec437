"""The chart as a user installs it: a first model, a swap that the dashboard shows, an uninstall that ends no stream."""

import json
import subprocess
import urllib.error
import urllib.request

import pytest

from hack.demo import parts
from hack.demo.parts import build_images, install_chart
from hack.monitoring import watch_cluster
from tests.support.dashboard import panel_queries
from tests.support.models import publish, settled_on, tiny_model
from tests.support.traffic import LiveStreams, address, harmed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ROLLOUT_SECONDS = 240


@pytest.fixture
def release(cluster, namespace):
    """The operator in its pod, for the models of the test's namespace alone."""
    publish()
    images = build_images()
    install_chart(cluster, images, f"watchNamespace={namespace}", "crds.install=false", namespace=namespace)
    yield images
    subprocess.run(
        [
            str(cluster.kube.kubectl.with_name("helm")),
            "--kubeconfig",
            str(cluster.kubeconfig),
            "uninstall",
            parts.RELEASE,
            "--namespace",
            namespace,
            "--ignore-not-found",
        ],
        check=True,
        capture_output=True,
    )


def ask(url, **body):
    question = {"model": "chat", "prompt": "one two", **body}
    headers = {"Content-Type": "application/json"}
    return urllib.request.Request(
        f"{url}/v1/completions", data=json.dumps(question).encode(), headers=headers
    )


def refuse_one_and_leave_one(url):
    """So that there is something to show of requests that got no whole answer."""
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(ask(url, max_tokens=1_000_000))
    with urllib.request.urlopen(ask(url, max_tokens=1500, stream=True, ignore_eos=True)) as answer:
        answer.read(16)


def staying(kube):
    """The model's pods, but for those of the first version that are on their way out."""
    found = [pod["metadata"] for pod in kube.find("pods", "realtime-serve.io/model=chat")]
    return {meta["uid"] for meta in found if "deletionTimestamp" not in meta}


def test_install_serve_swap_watch_and_uninstall(cluster, kube, namespace, release, tmp_path):
    kube.apply(tiny_model(release.server))
    kube.wait("im", "chat", settled_on("1.0.0"), ROLLOUT_SECONDS)
    url = address(kube)
    with (
        watch_cluster(cluster.kube, namespace=namespace) as prometheus,
        LiveStreams(url, tmp_path / "streams.json") as streams,
    ):
        kube.patch("im", "chat", {"spec": {"model": {"version": "2.0.0"}}})
        kube.wait("im", "chat", settled_on("2.0.0"), ROLLOUT_SECONDS)
        streams.await_started(17, "2.0.0")
        refuse_one_and_leave_one(url)
        tested = cluster.helm("test", parts.RELEASE, "--namespace", namespace, "--logs")
        assert "chat answers" in tested
        for title, query in panel_queries(namespace=namespace, model="chat", interval="2m"):
            assert prometheus.wait_for(query), title
        before = staying(kube)
        assert before
        cluster.helm("uninstall", parts.RELEASE, "--namespace", namespace, "--wait")
        assert staying(kube) == before
        summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) == {"1.0.0", "2.0.0"}
