"""Pure: Prometheus's scrape configuration for plain targets and for PodMonitors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


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


def scrape_pods(monitor: Mapping[str, Any], kubeconfig: Path) -> list[dict[str, Any]]:
    """What the Prometheus operator makes of a PodMonitor, as far as this project's chart uses one."""
    return [
        scrape_endpoint(monitor, endpoint, number, kubeconfig)
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    ]


def scrape_endpoint(
    monitor: Mapping[str, Any], endpoint: Mapping[str, Any], number: int, kubeconfig: Path
) -> dict[str, Any]:
    spec, own = monitor["spec"], monitor["metadata"]["namespace"]
    selector = spec.get("namespaceSelector", {})
    namespaces = [] if selector.get("any") else selector.get("matchNames", [own])
    labels = ",".join(f"{key}={value}" for key, value in spec["selector"]["matchLabels"].items())
    discovery = {
        "role": "pod",
        "kubeconfig_file": str(kubeconfig),
        "namespaces": {"names": namespaces},
        "selectors": [{"role": "pod", "label": labels}],
    }
    return {
        "job_name": f"{own}/{monitor['metadata']['name']}/{number}",
        "honor_labels": endpoint.get("honorLabels", False),
        "metrics_path": endpoint.get("path", "/metrics"),
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": [
            *common_relabelings(endpoint["port"]),
            *map(snake_keys, endpoint.get("relabelings", [])),
        ],
    }


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
