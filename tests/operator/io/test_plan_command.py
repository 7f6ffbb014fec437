"""`python -m inference_operator plan` as a person calls it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml

from tests.support.crd import ROOT

pytestmark = pytest.mark.slow


def manifest(version="1.0.0", **sections):
    return {
        "apiVersion": "realtime-serve.io/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": "chat", "namespace": "ai"},
        "spec": {"model": {"uri": "hf://a/b", "version": version}, **sections},
    }


@pytest.fixture
def plan(tmp_path):
    """Calls the command in a process that could reach no cluster if it wanted to."""

    def call(wanted, *arguments, against=None, stdin=None):
        files = {"wanted.yaml": wanted, "present.yaml": against}
        for name, documents in files.items():
            if documents is not None:
                (tmp_path / name).write_text(yaml.safe_dump_all(documents))
        more = ["--against", str(tmp_path / "present.yaml")] if against is not None else []
        source = "-" if stdin is not None else str(tmp_path / "wanted.yaml")
        command = [sys.executable, "-m", "inference_operator", "plan", "-f", source, *more, *arguments]
        environment = {
            **os.environ,
            "KUBECONFIG": str(tmp_path / "none"),
            "PYTHONPATH": str(ROOT / "operator"),
        }
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, env=environment
        )

    return call


def test_a_new_model_is_a_rollout(plan):
    done = plan([manifest()])
    assert done.returncode == 3, done.stderr
    assert "InferenceModel ai/chat would be new" in done.stdout


def test_a_live_edit_exits_with_zero(plan):
    done = plan([manifest(replicas=2)], against=[manifest()])
    assert done.returncode == 0, done.stderr
    assert "keeps its revision" in done.stdout


def test_standard_input_may_hold_other_kinds_too(plan):
    text = yaml.safe_dump_all([{"kind": "Namespace"}, manifest("2")])
    done = plan(None, against=[manifest()], stdin=text)
    assert done.returncode == 3, done.stderr
    assert '"1.0.0" -> "2"' in done.stdout


@pytest.mark.parametrize(
    ("sections", "said"),
    [({"server": {"frontend": 2}}, "frontend"), ({"replicas": "two"}, "spec.replicas")],
)
def test_a_spec_that_would_be_refused_exits_with_four(plan, sections, said):
    done = plan([manifest(**sections)])
    assert done.returncode == 4, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    ("wanted", "more", "said"),
    [
        ([], {}, "holds 0 objects of kind InferenceModel"),
        ([manifest(), manifest()], {}, "holds 2 objects"),
        ([{**manifest(), "apiVersion": "v1"}], {}, "realtime-serve.io/v1alpha1"),
        ([{**manifest(), "metadata": {}}], {}, "metadata.name"),
        ([manifest()], {"against": [{**manifest(), "metadata": {"name": "other"}}]}, "the model other"),
        ([manifest()], {"against": [manifest(replicas=-1)]}, "spec.replicas"),
    ],
)
def test_a_file_that_cannot_be_used_exits_with_one_and_says_why(plan, wanted, more, said):
    done = plan(wanted, **more)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_cannot_be_reached_exits_with_one(plan):
    done = plan([manifest()], "--against", "cluster")
    assert done.returncode == 1
    assert "kubeconfig" in done.stderr
    assert "Traceback" not in done.stderr
