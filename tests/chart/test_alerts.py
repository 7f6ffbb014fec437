"""The alerts, judged by Prometheus's own checker: each fires when it should, and is silent otherwise."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack import chart, packages

ALERTS = chart.CHART / "files" / "alerts.yaml"
LABELS = {"namespace": "ai", "model": "chat"}


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    packages.ensure(packages.MONITORING)


def promtool(*arguments: str) -> str:
    done = subprocess.run(("promtool", *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return found


def fires(tmp_path: Path, alert: str, series: dict[str, str], labels: dict[str, str] | None, at: str) -> None:
    """Ask promtool whether the alert stands at that time with these labels; None means that it does not."""
    rule = next(rule for rule in rules() if rule["alert"] == alert)
    alerts = [] if labels is None else [{"exp_labels": {**labels, **rule["labels"]}}]
    case = {
        "rule_files": [str(stripped(tmp_path))],
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": alerts}],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(case))
    promtool("test", "rules", str(tmp_path / "test.yaml"))


def stripped(tmp_path: Path) -> Path:
    """The rules without their prose, which promtool would want repeated letter by letter."""
    bare = [{key: value for key, value in rule.items() if key != "annotations"} for rule in rules()]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "bare", "rules": bare}]}))
    return path


def test_the_rules_are_valid_and_reach_the_cluster_unchanged(tmp_path: Path) -> None:
    (rule,) = chart.find(chart.render(chart.MONITORED), "PrometheusRule")
    (tmp_path / "rendered.yaml").write_text(yaml.safe_dump(rule["spec"]))
    promtool("check", "rules", "--lint-fatal", str(tmp_path / "rendered.yaml"))
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in {"critical", "warning"}


RESYNC = 'inference_operator_last_resync_timestamp_seconds{pod="%s"}'
AVAILABLE = 'inference_operator_model_condition{namespace="ai", model="chat", condition="Available"}'
READY = 'inference_operator_model_condition{namespace="ai", model="chat", condition="Ready"}'
PHASE = 'inference_operator_model_phase{namespace="ai", model="chat", phase="%s"}'
FAILURES = 'realtime_serve_request_failure_total{namespace="ai", model="chat", pod="%s", reason="%s"}'
CUT = {**LABELS, "reason": "engine_error"}

CASES: dict[str, tuple[str, dict[str, str], dict[str, str] | None, str]] = {
    "the operator stands still for an hour": (
        "InferenceOperatorStalled",
        {RESYNC % "a": "60x240"},
        {},
        "60m",
    ),
    "the operator resyncs": ("InferenceOperatorStalled", {RESYNC % "a": "0+15x240"}, None, "60m"),
    "a second operator waits for the Lease": (
        "InferenceOperatorStalled",
        {RESYNC % "a": "0+15x240", RESYNC % "b": "0x240"},
        None,
        "60m",
    ),
    "nothing scrapes the operator": ("InferenceOperatorGone", {}, {}, "10m"),
    "the operator is scraped": ("InferenceOperatorGone", {RESYNC % "a": "0+15x240"}, None, "10m"),
    "no pod of the model serves": (
        "InferenceModelUnavailable",
        {AVAILABLE: "1x4 0x60", READY: "0x64"},
        LABELS,
        "10m",
    ),
    "a rollout fails while the old version serves": (
        "InferenceModelUnavailable",
        {AVAILABLE: "1x64", READY: "0x64"},
        None,
        "10m",
    ),
    "no pod of the model serves for a moment": (
        "InferenceModelUnavailable",
        {AVAILABLE: "1x20 0x4 1x40"},
        None,
        "10m",
    ),
    "the first stream of a pod is cut": (
        "InferenceModelStreamsDropped",
        {FAILURES % ("a", "engine_error"): "_x20 1x40"},
        CUT,
        "7m",
    ),
    "a later stream is cut": (
        "InferenceModelStreamsDropped",
        {FAILURES % ("a", "engine_error"): "1x20 2x40"},
        CUT,
        "7m",
    ),
    "streams were cut long ago": (
        "InferenceModelStreamsDropped",
        {FAILURES % ("a", "engine_error"): "_x4 1x60"},
        None,
        "12m",
    ),
    "requests are only refused": (
        "InferenceModelStreamsDropped",
        {FAILURES % ("a", "overloaded"): "0+1x60", FAILURES % ("a", "draining"): "0+1x60"},
        None,
        "10m",
    ),
    "an edit fails": ("InferenceModelRolloutFailed", {PHASE % "Failed": "1x60"}, LABELS, "10m"),
    "an edit is refused": ("InferenceModelRolloutFailed", {PHASE % "Invalid": "1x60"}, LABELS, "10m"),
    "an edit is rolled out": (
        "InferenceModelRolloutFailed",
        {PHASE % "Preparing": "1x20 stale", PHASE % "Ready": "_x21 1x40"},
        None,
        "10m",
    ),
}


@pytest.mark.parametrize(("alert", "series", "labels", "at"), CASES.values(), ids=CASES.keys())
def test_an_alert_stands_exactly_when_it_should(
    tmp_path: Path, alert: str, series: dict[str, str], labels: dict[str, str] | None, at: str
) -> None:
    fires(tmp_path, alert, series, labels, at)


def test_every_alert_is_seen_both_standing_and_silent() -> None:
    tried = {(alert, labels is not None) for alert, _, labels, _ in CASES.values()}
    assert tried == {(rule["alert"], stands) for rule in rules() for stands in (True, False)}
