"""The dashboard: its shape, and every query run against a real Prometheus that scrapes a real server and the operator."""

from __future__ import annotations

import http.client
import json
import math
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from hack import panels
from hack.monitoring import Prometheus
from hack.scrapes import Target
from inference_operator.controller.key import Key
from inference_operator.controller.metrics import Metrics
from tests.support.dashboard import panel_queries, read_dashboard, variable_queries
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.slow

KEY = Key("ai", "chat")
POD = {"namespace": "ai", "model": "chat", "fleet": "chat-bcdf", "pod": "chat-bcdf-1"}
STATUS = {
    "phase": "Draining",
    "conditions": [{"type": "Available", "status": "True"}],
    "active": {"version": "2.0.0", "activeStreams": 3},
    "draining": [{"version": "1.0.0", "activeStreams": 2}],
}


class Traffic(threading.Thread):
    """Asks until told to stop: whole answers, refused requests, and clients that leave in the middle."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            self.ask(max_tokens=8)
            self.ask(max_tokens=10**9)
            self.leave()

    def ask(self, **body: object) -> None:
        connection = self.send(**body)
        connection.getresponse().read()
        connection.close()

    def leave(self) -> None:
        connection = self.send(max_tokens=2000, stream=True, ignore_eos=True)
        connection.getresponse().read(16)
        connection.close()

    def send(self, **body: object) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.server.address, timeout=30)
        question = {"model": self.server.name, "prompt": "one two", **body}
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(question), headers)
        return connection


@pytest.fixture(scope="module")
def operator() -> Iterator[str]:
    """The operator's own registry after a reconcile of each result, over HTTP."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.watch_queue(lambda: 1.0, lambda: 0.5)
    metrics.leader.set(1)
    metrics.resynced.set_to_current_time()
    for result in ("done", "stale", "failed"):
        metrics.reconciles.labels(result).inc()
        metrics.count_request("get", "200")
    metrics.count_step(KEY, "Promote")
    metrics.show(KEY, STATUS)
    exporter, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    ending = threading.Event()
    working = threading.Thread(target=work, args=(metrics, ending))
    working.start()
    yield f"127.0.0.1:{exporter.server_port}"
    ending.set()
    working.join()
    exporter.shutdown()
    exporter.server_close()
    thread.join()


def work(metrics: Metrics, ending: threading.Event) -> None:
    """A quantile over time needs runs that happen in that time."""
    while not ending.wait(0.2):
        metrics.seconds.observe(0.02)


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, server: ServerProcess, operator: str
) -> Iterator[Prometheus]:
    """Scrapes both, while requests come in."""
    traffic = Traffic(server)
    targets = [
        Target(server.address, POD),
        Target(operator, {"namespace": "realtime-serve", "pod": "operator-1"}, honor_labels=True),
    ]
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as process:
        process.start(targets=targets)
        traffic.start()
        yield process
        traffic.ending.set()
        traffic.join()


@pytest.mark.parametrize(("title", "expr"), [*panel_queries(namespace="ai", model="chat")])
def test_every_query_finds_numbers(prometheus: Prometheus, title: str, expr: str) -> None:
    assert all(math.isfinite(sample.value) for sample in prometheus.wait_for(expr)), title


@pytest.mark.parametrize(("name", "series", "label"), [*variable_queries(namespace="ai")])
def test_every_variable_offers_the_values_that_there_are(
    prometheus: Prometheus, name: str, series: str, label: str
) -> None:
    found = {sample.labels[label] for sample in prometheus.wait_for(series)}
    assert found == {{"namespace": KEY.namespace, "model": KEY.name}[name]}


def test_what_is_not_chosen_is_not_shown(prometheus: Prometheus) -> None:
    prometheus.wait_for("realtime_serve_active_streams")
    for title, expr in panel_queries(namespace="other", model="chat"):
        if "namespace=~" in expr:
            assert prometheus.query(expr) == [], title


def test_every_panel_has_its_own_place_on_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in read_dashboard()["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert max(columns) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_has_a_title_of_its_own_and_says_what_it_means() -> None:
    shown = [panel for row in panels.ROWS for panel in row.panels]
    assert len({panel.title for panel in shown}) == len(shown)
    assert all(panel.meaning.endswith(".") for panel in shown)
    identities = [panel["id"] for panel in read_dashboard()["panels"]]
    assert len(set(identities)) == len(identities)


def test_the_dashboard_can_be_loaded_again_and_again() -> None:
    board = read_dashboard()
    assert board["uid"] == "realtime-serve"
    assert "id" not in board, "Grafana gives it its own"
    assert board["templating"]["list"][0]["type"] == "datasource"
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
