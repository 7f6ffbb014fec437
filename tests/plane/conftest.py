"""An API server of its own for each file of tests, with the resource definition and the operator's rights."""

import pytest

from hack.apiserver import ControlPlane
from tests.support.fault_bench import prepare


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with ControlPlane(tmp_path_factory.mktemp("plane")) as running:
        prepare(running)
        yield running
