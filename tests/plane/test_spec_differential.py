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

from hack.apiserver.plane import ADMIN
from inference_operator.errors import InvalidSpec
from inference_operator.spec import parse, revision
from tests.support.crd import read_samples
from tests.support.specs import ANY_SHAPE, BENT, SCHEMA, places, specs, wrong

pytestmark = [pytest.mark.plane, pytest.mark.timeout(3000)]

EXAMPLES = int(os.environ.get("RTS_EXAMPLES", "200"))
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
def api(plane):
    return Api(plane)


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


def difference(api, spec):
    """Why the two do not judge a spec alike; empty where they do."""
    stored, refused = api.admit(spec)
    ours, problem = read(spec)
    if stored is None:
        return "" if has_null(spec) or ours is None else f"only the API server refuses: {refused}"
    kept, wrong = read(stored)
    if kept is None:
        return f"what is stored is refused: {wrong}"
    if has_null(spec) or (ours == kept and revision(ours) == revision(kept)):
        return ""
    return problem or "other defaults"


def bent_samples():
    """Each field of the samples, bent in every way: the path, what it was bent to, the whole spec."""
    seen = set()
    for sample in read_samples().values():
        for container, key, schema, path in places(sample["spec"], SCHEMA):
            if path in seen or path.startswith(ANY_SHAPE):
                continue
            seen.add(path)
            kept = container[key]
            for value in [*BENT.get(path, ()), *wrong(schema)]:
                container[key] = value
                yield path, value, sample["spec"]
            container[key] = kept


def test_each_field_bent_in_each_way_is_judged_alike(api):
    found, count = [], 0
    for path, value, spec in bent_samples():
        count += 1
        if why := difference(api, spec):
            found.append(f"{path} = {value!r}: {why}")
    assert not found, "\n".join(found)
    assert count > 1000


def test_the_api_server_and_the_operator_accept_the_same_specs_with_the_same_defaults(api):
    seen = Counter()

    @given(specs())
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def compare(spec):
        seen["ours" if read(spec)[0] else "not ours"] += 1
        assert not difference(api, spec)

    compare()
    assert min(seen.values()) > EXAMPLES // 10, seen
