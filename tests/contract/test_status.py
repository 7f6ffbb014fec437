"""Every status that a plan writes keeps to the schema: an unknown field would be dropped, a wrong one refused."""

import jsonschema
import pytest

from inference_operator.status import hindered
from tests.operator.model_cluster import ModelCluster, spec
from tests.support.crd import as_json_schema, read_schema

SCHEMA = as_json_schema(read_schema()["properties"]["status"])


def statuses(cluster, rounds=12):
    """What is written in so many rounds; checked as it comes."""
    found = []
    for _ in range(rounds):
        planned = cluster.round(seconds=2)
        if planned.status is not None:
            jsonschema.validate(planned.status, SCHEMA)
            found.append(planned.status)
    return found


def phases(found):
    return {status["phase"] for status in found}


def test_of_a_rollout_with_streams_from_birth_to_history():
    cluster = ModelCluster()
    found = statuses(cluster)
    cluster.open_streams(3)
    cluster.edit(spec("2.0.0"))
    found += statuses(cluster)
    cluster.finish_streams()
    found += statuses(cluster)
    assert phases(found) >= {"Preparing", "Draining", "Ready"}
    assert any(status.get("draining") for status in found)
    assert found[-1]["history"]


def test_of_a_rollout_that_fails():
    cluster = ModelCluster()
    statuses(cluster)
    cluster.broken.add("2.0.0")
    cluster.edit(spec("2.0.0"))
    assert "Failed" in phases(statuses(cluster, rounds=60))


@pytest.mark.parametrize(
    ("wanted", "phase"),
    [
        (spec(suspend=True), "Suspended"),
        ({"model": {"uri": "ftp://a", "version": "1"}}, "Invalid"),
    ],
)
def test_of_a_spec_that_is_refused(wanted, phase):
    assert phases(statuses(ModelCluster(wanted))) == {phase}


def test_of_a_name_that_is_taken():
    cluster = ModelCluster()
    cluster.foreign("Service", "chat")
    assert phases(statuses(cluster)) == {"Conflict"}


def test_of_a_model_that_the_api_server_hinders():
    cluster = ModelCluster()
    for status in statuses(cluster):
        jsonschema.validate(hindered(status, cluster.observe(), "no room " * 9999), SCHEMA)
