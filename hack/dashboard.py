"""The Grafana dashboard's JSON, made from the table in panels.py."""

from __future__ import annotations

import json
from typing import Any

from hack.panels import ROWS, Panel, Row

UID = "realtime-serve"
COLUMNS = 24  # the width of Grafana's grid
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    """A choice among a label's values; all of them unless somebody chooses."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # on every change of the time range
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def render_target(position: int, legend: str, expr: str) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + position),
        "datasource": DATASOURCE,
        "expr": expr,
        "legendFormat": legend or "__auto",
    }


def render_panel(panel: Panel, identity: int, place: dict[str, int]) -> dict[str, Any]:
    stacking = {"stacking": {"mode": "normal"}, "fillOpacity": 20} if panel.stacked else {}
    return {
        "id": identity,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": stacking}, "overrides": []},
        "targets": [render_target(at, *query) for at, query in enumerate(panel.queries.items())],
    }


def render_panels(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Panels and row titles with their places: left to right, a new line where the next does not fit."""
    rendered: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
        rendered.append(
            {"id": len(rendered) + 1, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        )
        top, left = top + 1, 0
        for panel in row.panels:
            if left + row.width > COLUMNS:
                top, left = top + row.height, 0
            place = {"h": row.height, "w": row.width, "x": left, "y": top}
            rendered.append(render_panel(panel, len(rendered) + 1, place))
            left += row.width
        top += row.height
    return rendered


def render() -> str:
    """The dashboard as JSON text."""
    choices = [
        {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
        variable("namespace", "Namespace", "label_values(inference_operator_model_phase, namespace)"),
        variable(
            "model", "Model", 'label_values(inference_operator_model_phase{namespace=~"$namespace"}, model)'
        ),
    ]
    board = {
        "uid": UID,
        "title": "realtime-serve",
        "tags": ["realtime-serve"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": choices},
        "panels": render_panels(ROWS),
    }
    return json.dumps(board, indent=2) + "\n"
