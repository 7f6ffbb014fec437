"""Series follow the models: they change with the status and go when the model goes."""

from prometheus_client import CollectorRegistry, generate_latest

from inference_operator.controller.key import Key
from inference_operator.controller.metrics import Metrics

CHAT = Key("default", "chat")
DRAINING = {
    "phase": "Draining",
    "active": {"version": "2", "activeStreams": 5},
    "draining": [
        {"version": "1", "fleet": "a", "activeStreams": 3},
        {"version": "1", "fleet": "b", "activeStreams": 1},
    ],
}


def series(registry, name):
    found = (sample for metric in registry.collect() for sample in metric.samples)
    return {tuple(sample.labels.values()): sample.value for sample in found if sample.name == name}


def test_the_phase_is_one_and_the_former_phase_is_gone():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.show(CHAT, {"phase": "Preparing"})
    metrics.show(CHAT, {"phase": "Ready"})
    assert series(registry, "inference_operator_model_phase") == {("default", "chat", "Ready"): 1}


def test_streams_are_told_by_version_and_role_and_fleets_of_one_version_are_summed():
    registry = CollectorRegistry()
    Metrics(registry).show(CHAT, DRAINING)
    assert series(registry, "inference_operator_fleet_streams") == {
        ("default", "chat", "2", "active"): 5,
        ("default", "chat", "1", "draining"): 4,
    }


def test_a_fleet_that_could_not_be_asked_shows_no_number():
    registry = CollectorRegistry()
    Metrics(registry).show(CHAT, {"phase": "Ready", "active": {"version": "2"}})
    assert series(registry, "inference_operator_fleet_streams") == {}


def test_a_model_that_is_gone_leaves_no_series():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.show(CHAT, DRAINING)
    metrics.count_step(CHAT, "promote")
    metrics.forget(CHAT)
    assert b"chat" not in generate_latest(registry)
