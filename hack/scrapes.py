"""Pure: Prometheus's scrape configuration for plain targets and for the pods of PodMonitors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
UNFIT = re.compile(r"[^a-zA-Z0-9_]")

Monitor = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One address (host:port) to scrape, with the labels that a PodMonitor would give its series."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    honor_labels: bool = False


def scrape_target(target: Target, number: int) -> dict[str, Any]:
    return {
        "job_name": f"target-{number}",
        "honor_labels": target.honor_labels,
        "static_configs": [{"targets": [target.address], "labels": dict(target.labels)}],
    }


def scrape_pods(monitor: Monitor, pods: Path) -> list[dict[str, Any]]:
    """What the Prometheus operator makes of a PodMonitor, as far as this project's chart uses one.

    `pods` is a file of target groups as `describe_pods` makes them, in place of Prometheus's own discovery, which
    Debian builds without Kubernetes.
    """
    name = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
    return [
        {
            "job_name": f"{name}/{number}",
            "honor_labels": endpoint.get("honorLabels", False),
            "metrics_path": endpoint.get("path", "/metrics"),
            "file_sd_configs": [{"files": [str(pods)]}],
            "relabel_configs": [
                *common_relabelings(endpoint["port"]),
                *map(snake_keys, endpoint.get("relabelings", [])),
            ],
        }
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    ]


def label_selector(monitor: Monitor) -> str:
    """For `kubectl -l`."""
    return ",".join(f"{key}={value}" for key, value in monitor["spec"]["selector"]["matchLabels"].items())


def namespaces(monitor: Monitor) -> list[str]:
    """Where the monitor looks for pods; empty: everywhere."""
    selector = monitor["spec"].get("namespaceSelector", {})
    own: str = monitor["metadata"]["namespace"]
    return [] if selector.get("any") else selector.get("matchNames", [own])


def describe_pods(pods: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A target group for each port of each pod, with the labels that Prometheus's own discovery gives."""
    return [
        describe_port(pod, container["name"], port)
        for pod in pods
        if pod.get("status", {}).get("podIP")
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]


def describe_port(pod: Mapping[str, Any], container: str, port: Mapping[str, Any]) -> dict[str, Any]:
    meta, status = pod["metadata"], pod["status"]
    facts = {
        "namespace": meta["namespace"],
        "pod_name": meta["name"],
        "pod_phase": status["phase"],
        "pod_container_name": container,
        "pod_container_port_name": port.get("name", ""),
        **{f"pod_label_{UNFIT.sub('_', key)}": value for key, value in meta.get("labels", {}).items()},
    }
    labels = {f"__meta_kubernetes_{key}": value for key, value in facts.items()}
    return {"targets": [f"{status['podIP']}:{port['containerPort']}"], "labels": labels}


def common_relabelings(port: str) -> list[dict[str, Any]]:
    return [
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Failed|Succeeded", "action": "drop"},
        {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": port, "action": "keep"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]


def snake_keys(relabeling: Mapping[str, Any]) -> dict[str, Any]:
    return {CAMEL.sub("_", key).lower(): value for key, value in relabeling.items()}
