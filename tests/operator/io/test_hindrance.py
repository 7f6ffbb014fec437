"""The status of a model that the API server hinders."""

from datetime import UTC, datetime

from inference_operator.observed import Model, Observed
from inference_operator.status import hindered, unrouted

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def condition(kind, status, since="2026-01-01T00:00:00Z"):
    return {"type": kind, "status": status, "reason": "Before", "message": "m", "lastTransitionTime": since}


def observed(*conditions):
    model = Model(
        namespace="n",
        name="chat",
        uid="u",
        generation=1,
        resource_version="1",
        spec={},
        status={"conditions": conditions},
    )
    return Observed(now=NOW, model=model)


def by_type(status):
    return {found["type"]: found for found in status["conditions"]}


def test_it_is_degraded_and_everything_else_that_holds_goes_on_holding():
    planned = {
        "phase": "Preparing",
        "conditions": [
            condition("Ready", "False"),
            condition("Available", "True"),
            condition("Progressing", "True"),
            condition("Degraded", "False"),
        ],
    }
    told = by_type(hindered(planned, observed(), "no room"))
    assert told["Degraded"]["status"] == "True"
    assert told["Degraded"]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert {kind for kind, found in told.items() if found["reason"] == "RefusedByCluster"} == {
        "Ready",
        "Progressing",
        "Degraded",
    }
    assert told["Available"] == condition("Available", "True")
    assert "no room" in told["Ready"]["message"]


def test_said_again_it_is_the_same_status():
    planned = {"conditions": [condition("Degraded", "False")]}
    once = hindered(planned, observed(), "no room")
    assert hindered(planned, observed(*once["conditions"]), "no room") == once


def test_a_very_long_refusal_fits():
    told = by_type(hindered({"conditions": [condition("Degraded", "False")]}, observed(), "x" * 100_000))
    assert len(told["Degraded"]["message"]) <= 32_768


def test_a_route_that_is_refused_changes_its_own_condition_alone_and_since_when():
    degraded = condition("Degraded", "False")
    planned = {"phase": "Ready", "conditions": [degraded, condition("RouteAccepted", "Unknown")]}
    once = unrouted(planned, observed(degraded), "hosts of others")
    told = by_type(once)
    assert (once["phase"], told["Degraded"]) == ("Ready", degraded)
    assert (told["RouteAccepted"]["status"], told["RouteAccepted"]["reason"]) == ("False", "RefusedByCluster")
    assert told["RouteAccepted"]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert unrouted(planned, observed(*once["conditions"]), "hosts of others") == once
