"""Prometheus for tests and for a look at the local cluster: scrape configuration, and the real process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from hack.monitoring import Prometheus, PrometheusFailedError
from hack.scrapes import Target, scrape_pods

POD_MONITOR = {
    "metadata": {"name": "models", "namespace": "system"},
    "spec": {
        "namespaceSelector": {"any": True},
        "selector": {"matchLabels": {"app": "server", "tier": "gpu"}},
        "podMetricsEndpoints": [
            {
                "port": "http",
                "path": "/numbers",
                "honorLabels": True,
                "relabelings": [{"sourceLabels": ["__meta_x"], "targetLabel": "fleet"}],
            }
        ],
    },
}


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


def test_a_pod_monitor_becomes_the_scrape_that_the_prometheus_operator_would_make() -> None:
    (scrape,) = scrape_pods(POD_MONITOR, Path("/kubeconfig"))
    assert scrape["job_name"] == "system/models/0"
    assert scrape["metrics_path"] == "/numbers"
    assert scrape["honor_labels"] is True
    (discovery,) = scrape["kubernetes_sd_configs"]
    assert discovery["namespaces"] == {"names": []}, "all of them"
    assert discovery["selectors"] == [{"role": "pod", "label": "app=server,tier=gpu"}]
    assert {"source_labels": ["__meta_x"], "target_label": "fleet"} in scrape["relabel_configs"]


@pytest.mark.parametrize(("selector", "names"), [({}, ["system"]), ({"matchNames": ["a", "b"]}, ["a", "b"])])
def test_a_pod_monitor_looks_in_its_own_namespace_or_in_those_it_names(
    selector: dict[str, list[str]], names: list[str]
) -> None:
    spec = {**POD_MONITOR["spec"], "namespaceSelector": selector}
    (scrape,) = scrape_pods({**POD_MONITOR, "spec": spec}, Path("/kubeconfig"))
    assert scrape["kubernetes_sd_configs"][0]["namespaces"] == {"names": names}
