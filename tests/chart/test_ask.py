"""The script of `helm test`, run as its pod runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hack import chart
from hack.ports import free_port
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.slow


def ask(url: str) -> subprocess.CompletedProcess[str]:
    """With the very arguments that the pod gets, but for the address."""
    (pod,) = chart.find(chart.render({}), "Pod")
    arguments = pod["spec"]["containers"][0]["args"]
    place = arguments.index("http://chat.realtime-serve.svc")
    arguments[place] = url
    return subprocess.run((sys.executable, *arguments), capture_output=True, text=True, check=False)


def test_a_model_that_answers_passes(server: ServerProcess) -> None:
    done = ask(f"http://{server.address}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{server.name} answers: ")


def test_no_model_fails_and_says_what_to_do() -> None:
    done = ask(f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert "test.model.name" in done.stderr
