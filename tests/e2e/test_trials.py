"""What keeps a bad version from traffic on a real cluster, and takes it back; under live streams, none of them harmed."""

import json
import time
import urllib.request

import pytest

from tests.support.models import ROLLOUT_SECONDS, SHUFFLED, condition, current, in_phase, merged, settled_on
from tests.support.traffic import address, harmed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PROMPT = "one two three"


def edit(kube, version, **changes):
    kube.patch("im", "chat", {"spec": merged({"model": {"version": version}}, changes)})


def order(kube, verb, revision):
    kube.run("annotate", "--overwrite", "im", "chat", f"realtime-serve.io/{verb}={revision}")


def completion(url, prompt=PROMPT, tokens=8):
    """(version, text) of a greedy answer."""
    body = {"model": "chat", "prompt": prompt, "max_tokens": tokens, "temperature": 0}
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["X-Model-Version"], json.load(answer)["choices"][0]["text"]


def chat_answer(url, tokens=8):
    """What the golden prompt is answered, asked as the operator does."""
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": tokens,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def events(kube):
    return [(each["reason"], each["message"]) for each in kube.find("events")]


def test_shuffled_weights_fail_their_golden_prompt_and_never_get_traffic(kube, streams):
    expected = chat_answer(address(kube)).strip()
    golden = {
        "warmupRequests": 2,
        "prompts": [{"name": "known", "prompt": PROMPT, "maxTokens": 8, "expect": {"equals": expected}}],
    }
    edit(kube, "2.0.0", rollout={"verification": golden})
    kube.wait("im", "chat", settled_on("2.0.0"), ROLLOUT_SECONDS)
    assert any(reason == "Verified" and "known" in message for reason, message in events(kube))
    edit(kube, "3.0.0", model={"uri": f"hf://{SHUFFLED}", "version": "3.0.0"})
    model = kube.wait("im", "chat", in_phase("Failed"), ROLLOUT_SECONDS)
    assert condition(model, "Progressing")["reason"] == "VerificationFailed"
    assert "gate known: pod" in condition(model, "Progressing")["message"]
    gate = next(g for g in model["status"]["target"]["gates"] if g["name"] == "golden-known")
    assert (gate["passed"], gate["answer"].strip() != expected) == (False, True)
    assert model["status"]["active"]["version"] == "2.0.0"
    summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) <= {"1.0.0", "2.0.0"}


def test_a_version_waits_for_approval_and_an_aborted_one_never_serves(kube, streams):
    edit(kube, "2.0.0", rollout={"autoPromotion": False})
    model = kube.wait("im", "chat", in_phase("AwaitingApproval"), ROLLOUT_SECONDS)
    revision = model["status"]["target"]["revision"]
    assert f"realtime-serve.io/promote={revision}" in condition(model, "Progressing")["message"]
    assert model["status"]["active"]["version"] == "1.0.0"
    order(kube, "promote", revision)
    kube.wait("im", "chat", settled_on("2.0.0"), ROLLOUT_SECONDS)
    edit(kube, "3.0.0")
    model = kube.wait(
        "im", "chat", lambda m: current(m) and m["status"]["phase"] == "AwaitingApproval", ROLLOUT_SECONDS
    )
    order(kube, "abort", model["status"]["target"]["revision"])
    model = kube.wait("im", "chat", in_phase("Failed"), ROLLOUT_SECONDS)
    assert condition(model, "Progressing")["reason"] == "Aborted"
    assert model["status"]["active"]["version"] == "2.0.0"
    summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) == {"1.0.0", "2.0.0"}


def kept(version):
    """A predecessor of that version is warm and has no stream left."""
    return lambda m: current(m) and m["status"].get("previous", {}).get("version") == version


def test_going_back_to_a_warm_version_is_a_flip(kube, streams, record_property):
    edit(kube, "2.0.0", rollout={"keepPreviousSeconds": 300})
    kube.wait("im", "chat", kept("1.0.0"), ROLLOUT_SECONDS)
    before = {pod["metadata"]["name"] for pod in kube.find("pods", "realtime-serve.io/model=chat")}
    url = address(kube)
    began = time.monotonic()
    edit(kube, "1.0.0")
    while completion(url)[0] != "1.0.0":
        time.sleep(0.05)
    record_property("seconds from the edit to the first answer of the warm version", time.monotonic() - began)
    model = kube.wait("im", "chat", kept("2.0.0"), ROLLOUT_SECONDS)
    assert model["status"]["active"]["version"] == "1.0.0"
    assert {pod["metadata"]["name"] for pod in kube.find("pods", "realtime-serve.io/model=chat")} == before
    assert harmed(streams.stop()) == []


def test_a_version_that_is_slow_under_traffic_gives_it_back(kube, streams):
    trial = {"seconds": 120, "minRequests": 3, "maxTimeToFirstTokenP95Ms": 1}
    edit(kube, "2.0.0", rollout={"analysis": trial})
    model = kube.wait("im", "chat", in_phase("Failed"), ROLLOUT_SECONDS)
    assert condition(model, "Progressing")["reason"] == "AnalysisBreached"
    assert model["status"]["active"]["version"] == "1.0.0"
    assert condition(model, "Available")["status"] == "True"
    assert {"AnalysisBreached", "DrainCancelled"} <= {reason for reason, _ in events(kube)}
    summary = streams.stop()
    assert harmed(summary) == []
    assert set(summary["versions"]) == {"1.0.0", "2.0.0"}
