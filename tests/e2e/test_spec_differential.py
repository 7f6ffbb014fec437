"""The real API server and the operator read every spec alike: what one accepts the other does, with the same defaults.

RTS_EXAMPLES=5000 makes a long campaign of it.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from hack.apiserver import ControlPlane
from hack.apiserver.plane import ADMIN
from inference_operator.errors import InvalidSpec
from inference_operator.spec import parse, revision
from tests.support.fault_bench import prepare
from tests.support.specs import specs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]

EXAMPLES = int(os.environ.get("RTS_EXAMPLES", "300"))
PATH = "/apis/realtime-serve.io/v1alpha1/namespaces/default/inferencemodels?dryRun=All&fieldValidation=Strict"


class Api:
    """Creates models in a dry run."""

    def __init__(self, plane):
        trusting = ssl._create_unverified_context()  # noqa: S323 - it made its certificate itself
        self.connection = http.client.HTTPSConnection(plane.url.removeprefix("https://"), context=trusting)

    def admit(self, spec):
        """The spec as it would be stored, or why it is refused."""
        model = {"apiVersion": "realtime-serve.io/v1alpha1", "kind": "InferenceModel", "spec": spec}
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        body = json.dumps(model | {"metadata": {"name": "chat"}})
        self.connection.request("POST", PATH, body, headers)
        answer = self.connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status in {201, 400, 422}, said
        return (said["spec"], "") if answer.status == 201 else (None, said["message"])


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with ControlPlane(tmp_path_factory.mktemp("plane")) as plane:
        prepare(plane)
        yield Api(plane)


def read(spec):
    """The operator's own reading, or why it refuses."""
    try:
        return parse(spec), ""
    except InvalidSpec as error:
        return None, str(error)


def has_null(value):
    if isinstance(value, dict | list):
        return any(has_null(below) for below in (value.values() if isinstance(value, dict) else value))
    return value is None


def test_the_api_server_and_the_operator_accept_the_same_specs_with_the_same_defaults(api):
    seen = Counter()

    @given(specs())
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def compare(spec):
        stored, refused = api.admit(spec)
        seen["stored" if stored else "refused"] += 1
        ours, problem = read(spec)
        if stored is None:
            assert has_null(spec) or ours is None, f"only the API server refuses: {refused}"
            return
        kept, wrong = read(stored)
        assert kept is not None, f"what is stored is refused: {wrong}"
        if not has_null(spec):
            assert ours == kept, problem or "other defaults"
            assert revision(ours) == revision(kept)

    compare()
    assert min(seen["stored"], seen["refused"]) > EXAMPLES // 10, seen
