"""What the engine's threads are told, and what the kernel tells of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from realtime_serve.engine import threads
from realtime_serve.engine.threads import (
    CHOICES,
    LONG,
    SHORT,
    run_and_delay,
    tells_delays,
    thread_environment,
)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)


def test_threads_look_for_long_where_the_kernel_tells_who_waits():
    assert tells_delays()
    assert thread_environment() == {"GOMP_SPINCOUNT": LONG}
    assert thread_environment(fixed=True) == {"GOMP_SPINCOUNT": SHORT}


@pytest.mark.parametrize("text", ["", "0 0 0\n", None])
def test_and_not_for_long_where_it_does_not(monkeypatch, tmp_path, text):
    (tmp_path / "1").mkdir()
    if text is not None:
        (tmp_path / "1/schedstat").write_text(text)
    monkeypatch.setattr(threads, "TASKS", tmp_path)
    assert thread_environment() == {"GOMP_SPINCOUNT": SHORT}


def test_a_thread_that_ends_while_it_is_asked_is_left_out(monkeypatch, tmp_path):
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    (tmp_path / "1/schedstat").write_text("2000000000 1000000000 7\n")
    monkeypatch.setattr(threads, "TASKS", tmp_path)
    assert run_and_delay() == (2.0, 1.0)


@pytest.mark.parametrize("name", CHOICES)
def test_whoever_starts_it_may_choose(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert thread_environment() == {}


def test_a_process_that_shares_its_core_waits():
    """On one core, beside another process that wants it: both get about half."""
    script = (
        "import os, time\n"
        "from realtime_serve.engine.threads import run_and_delay\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "me = os.getpid()\n"
        "if os.fork():\n"
        "    while time.process_time() < 0.5: pass\n"
        "    print(*run_and_delay())\n"
        "    os._exit(0)\n"
        "while os.getppid() == me: pass\n"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    ran, waited = map(float, out.split())
    assert ran >= 0.5
    assert waited > 0.05
    assert run_and_delay()[0] > 0.0
