"""Prometheus for tests and for a look at the local cluster: scrape configuration, and the real process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from hack.monitoring import Prometheus, PrometheusFailedError
from hack.scrapes import Target, describe_pods, label_selector, namespaces, scrape_pods

pytestmark = pytest.mark.slow

POD_MONITOR = {
    "metadata": {"name": "models", "namespace": "system"},
    "spec": {
        "namespaceSelector": {"any": True},
        "selector": {"matchLabels": {"app": "server", "tier": "gpu"}},
        "podMetricsEndpoints": [
            {
                "port": "http",
                "path": "/metrics",
                "honorLabels": True,
                "relabelings": [
                    {"sourceLabels": ["__meta_kubernetes_pod_label_example_io_fleet"], "targetLabel": "fleet"}
                ],
            }
        ],
    },
}


@dataclass
class Found:
    """Pods that were found already."""

    configuration: list[dict[str, Any]]

    def scrapes(self) -> list[dict[str, Any]]:
        return self.configuration


@pytest.fixture
def address() -> Iterator[str]:
    """A real exporter with one series whose own label `model` is `inner`."""
    registry = CollectorRegistry()
    Gauge("answers", "What is given.", ["model"], registry=registry).labels("inner").set(42)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_target_is_scraped_and_its_labels_are_on_its_series(tmp_path: Path, address: str) -> None:
    with Prometheus(tmp_path) as prometheus:
        prometheus.start(targets=[Target(address, {"namespace": "ai"})])
        (sample,) = prometheus.wait_for("answers")
        assert sample.value == 42
        assert sample.labels["namespace"] == "ai"
        assert prometheus.query("answers == 0") == []
        with pytest.raises(PrometheusFailedError, match="parse error"):
            prometheus.query("sum(")


def test_a_series_own_label_stays_only_where_labels_are_honoured(tmp_path: Path, address: str) -> None:
    with Prometheus(tmp_path) as prometheus:
        honoured = Target(address, {"model": "outer", "job": "a"}, honor_labels=True)
        prometheus.start(targets=[honoured, Target(address, {"model": "outer", "job": "b"})])
        (first,) = prometheus.wait_for('answers{job="a"}')
        (second,) = prometheus.wait_for('answers{job="b"}')
    assert first.labels["model"] == "inner"
    assert (second.labels["model"], second.labels["exported_model"]) == ("outer", "inner")


def test_a_configuration_that_prometheus_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("groups: [{name: bad, rules: [{alert: X, expr: 'sum('}]}]")
    with pytest.raises(PrometheusFailedError, match="unclosed left parenthesis"):
        Prometheus(tmp_path).start(rules=[rules])


def test_a_process_that_was_stopped_is_gone(tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path).start()
    process = prometheus.process
    prometheus.stop()
    assert process is not None
    assert process.returncode is not None


def pod(address: str, **labels: str) -> dict[str, Any]:
    host, port = address.split(":")
    ports = [{"name": "http", "containerPort": int(port)}, {"name": "other", "containerPort": 1}]
    return {
        "metadata": {"name": "chat-1", "namespace": "ai", "labels": labels},
        "spec": {"containers": [{"name": "server", "ports": ports}, {"name": "sidecar"}]},
        "status": {"podIP": host, "phase": "Running"},
    }


def test_a_pod_monitor_is_scraped_as_the_prometheus_operator_would(tmp_path: Path, address: str) -> None:
    pods = tmp_path / "pods.json"
    pods.write_text(json.dumps(describe_pods([pod(address, **{"example.io/fleet": "blue"})])))
    with Prometheus(tmp_path) as prometheus:
        prometheus.start(pods=Found(scrape_pods(POD_MONITOR, pods)))
        (sample,) = prometheus.wait_for("answers")
        assert len(prometheus.query("up")) == 1, "the other port is not scraped"
    assert (
        sample.labels.items()
        >= {
            "namespace": "ai",
            "pod": "chat-1",
            "container": "server",
            "fleet": "blue",
            "model": "inner",
        }.items()
    )


def test_pods_without_an_address_are_left_out() -> None:
    pending = {"metadata": {}, "spec": {}, "status": {"phase": "Pending"}}
    assert describe_pods([pending]) == []


@pytest.mark.parametrize(
    ("selector", "names"), [({}, ["system"]), ({"matchNames": ["a", "b"]}, ["a", "b"]), ({"any": True}, [])]
)
def test_a_pod_monitor_looks_in_its_own_namespace_or_in_those_it_names_or_everywhere(
    selector: dict[str, Any], names: list[str]
) -> None:
    monitor = {**POD_MONITOR, "spec": {**POD_MONITOR["spec"], "namespaceSelector": selector}}
    assert namespaces(monitor) == names
    assert label_selector(monitor) == "app=server,tier=gpu"
