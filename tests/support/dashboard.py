"""The committed dashboard's queries, with Grafana's variables filled in as Grafana would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hack.chart import CHART

DASHBOARD = CHART / "dashboards" / "realtime-serve.json"


def read_dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return board


def panel_queries(
    *, namespace: str = ".*", model: str = ".*", interval: str = "10s"
) -> Iterator[tuple[str, str]]:
    """Each query with its panel's title. `interval` stands for Grafana's rate interval: four scrapes or more."""
    variables = {"$namespace": namespace, "$model": model, "$__rate_interval": interval}
    for panel in read_dashboard()["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"]
            for name, value in variables.items():
                expr = expr.replace(name, value)
            yield panel["title"], expr


def variable_queries(*, namespace: str = ".*") -> Iterator[tuple[str, str, str]]:
    """Each choosable variable: its name, the series it is read from and the label whose values it offers."""
    for variable in read_dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            inner = variable["query"]["query"].removeprefix("label_values(").removesuffix(")")
            series, _, label = inner.rpartition(",")
            yield variable["name"], series.replace("$namespace", namespace), label.strip()
