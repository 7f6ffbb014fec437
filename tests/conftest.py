"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# An assert of what tests share shows its values too.
pytest.register_assert_rewrite("tests.operator", "tests.server", "tests.support")
# Before anything imports torch: threads that spin while they wait make tests ten times slower as soon as two processes run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before anything imports Triton, as torch does: its kernels then run without a GPU.
os.environ.setdefault("TRITON_INTERPRET", "1")

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")


def pytest_addoption(parser):
    parser.addoption("--swaps", type=int, default=3, help="of the endurance test, one after the other")
    parser.addoption("--seed", type=int, default=7, help="of what goes otherwise than planned there")
    parser.addoption(
        "--number", type=int, default=60, help="of the random requests that are compared with each alone"
    )
