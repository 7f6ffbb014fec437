"""The swap: live streams from a pod, an edit of the version, and what became of each stream."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hack import streams_pod
from hack.kube import Kube, Manifest

STREAMS = 32
TOKENS = 400
AFTER = 8
"""Streams opened after the flip, while the old ones still run."""
ROLLOUT_SECONDS = 600
VERDICTS = ("whole", "cut", "mixed", "garbled", "refused")


@dataclass(frozen=True)
class Swap:
    """Seconds count from the edit."""

    flip: float
    old_fleet_gone: float
    last_old_stream: float
    streams: list[dict[str, Any]]

    @property
    def unharmed(self) -> bool:
        return len(self.streams) == STREAMS + AFTER and all(s["verdict"] == "whole" for s in self.streams)


@contextmanager
def load_pod(kube: Kube, name: str, image: str, *arguments: str) -> Iterator[str]:
    kube.apply(streams_pod.program_manifest(name), streams_pod.pod_manifest(name, image, arguments))
    try:
        yield name
    finally:
        kube.run("delete", "pod", name, "--wait=false", "--ignore-not-found")
        kube.run("delete", "configmap", name, "--ignore-not-found")


def events(kube: Kube, pod: str) -> list[dict[str, Any]]:
    return list(streams_pod.read_log(kube.run("logs", pod)))


def await_started(kube: Kube, pod: str, number: int, seconds: float = 180) -> None:
    """Until so many streams have their first token. Raises TimeoutError."""
    kube.wait(
        "pod", pod, lambda found: found["status"]["phase"] in {"Running", "Succeeded", "Failed"}, seconds
    )
    deadline = time.monotonic() + seconds
    while (have := sum(event["event"] == "started" for event in events(kube, pod))) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{have} of {number} streams had a first token within {seconds:.0f} s")
        time.sleep(0.5)


def await_end(kube: Kube, pod: str) -> list[dict[str, Any]]:
    """The streams' ends, when the pod has ended."""
    ended = {"Succeeded", "Failed"}
    kube.wait("pod", pod, lambda found: found["status"]["phase"] in ended, ROLLOUT_SECONDS)
    return [event for event in events(kube, pod) if event["event"] == "ended"]


def swap(kube: Kube, model: str, image: str, url: str, version: str) -> Swap:
    """Edit the version of `model` under live streams, and wait until its old fleet is gone."""
    target = ("--url", url, "--model", model)
    with load_pod(kube, "load", image, *target, "--streams", str(STREAMS), "--tokens", str(TOKENS)):
        await_started(kube, "load", STREAMS)
        old = kube.get("im", model)["status"]["active"]["version"]
        print(
            f"   {STREAMS} streams run on version {old}; editing spec.model.version to {version}", flush=True
        )
        edited, clock = time.monotonic(), time.time()
        kube.patch("im", model, {"spec": {"model": {"version": version}}})
        follow(kube, model, edited, lambda status: status.get("active", {}).get("version") == version)
        flip = time.monotonic() - edited
        with load_pod(kube, "load-after", image, *target, "--streams", str(AFTER), "--tokens", "32"):
            follow(
                kube, model, edited, lambda status: status["phase"] == "Ready" and not status.get("draining")
            )
            gone = time.monotonic() - edited
            ended = await_end(kube, "load") + await_end(kube, "load-after")
    last = max((e["ended_at"] - clock for e in ended if e["version"] == old), default=0.0)
    return Swap(flip=flip, old_fleet_gone=gone, last_old_stream=last, streams=ended)


def follow(kube: Kube, model: str, begin: float, until: Any) -> None:
    """Print each change of the rollout until the status satisfies `until`. Raises TimeoutError."""
    told = ""
    for found in kube.watch("im", model, ROLLOUT_SECONDS):
        status = found.get("status", {})
        if (line := sentence(status)) != told:
            print(f"   {time.monotonic() - begin:6.1f} s  {line}", flush=True)
            told = line
        if status.get("observedGeneration") == found["metadata"]["generation"] and until(status):
            return
    raise TimeoutError(f"the rollout of {model} took more than {ROLLOUT_SECONDS} s")


def sentence(status: Manifest) -> str:
    """One line of a status: who has the traffic, who comes, who goes."""
    active, target = status.get("active") or {}, status.get("target") or {}
    parts = [f"{status.get('phase', '-'):<10} traffic: {active.get('version', 'none')}"]
    if target:
        parts.append(f"prepared: {target['version']}")
    parts += [
        f"draining: {fleet['version']} ({count(fleet)} streams)" for fleet in status.get("draining") or []
    ]
    return ", ".join(parts)


def count(fleet: Manifest) -> Any:
    return fleet.get("activeStreams", "unknown")


def table(streams: Iterable[dict[str, Any]]) -> str:
    """Streams of each version by what became of them. Pure."""
    by_version: dict[str, list[str]] = {}
    for stream in streams:
        by_version.setdefault(stream["version"] or "none", []).append(stream["verdict"])
    lines = [f"  {'version':<10}{'started':>9}" + "".join(f"{verdict:>9}" for verdict in VERDICTS)]
    for version, verdicts in sorted(by_version.items()):
        counts = "".join(f"{verdicts.count(verdict):>9}" for verdict in VERDICTS)
        lines.append(f"  {version:<10}{len(verdicts):>9}{counts}")
    return "\n".join(lines)
