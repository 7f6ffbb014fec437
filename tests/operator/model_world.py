"""The world of a model cluster: what people, faults, controllers and time do to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from inference_operator import names
from inference_operator.actions import Verify
from inference_operator.observed import ClientKeys, Obstacle
from inference_operator.verification import GateResult, Result, write_result
from tests.operator.model_pod import SimChild, SimFleet, SimPod, load, rank

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
UID = "model-uid"


def spec(version: str = "1.0.0", **sections: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "model": {"uri": "hf://org/model", "version": version},
        "gpu": {"count": 0},
        "rollout": {"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 120},
    }
    return base | sections


class World:
    def __init__(self, wanted: dict[str, Any] | None = None) -> None:
        self.now = START
        self.generation = 1
        self.spec = wanted or spec()
        self.annotations: dict[str, str] = {}
        self.status: dict[str, Any] = {}
        self.deleting = False
        self.fleets: dict[str, SimFleet] = {}
        self.children: dict[tuple[str, str], SimChild] = {}
        self.endpoints: dict[str, dict[str, bool]] = {}
        self.broken: set[str] = set()
        """Versions whose pods never become ready."""
        self.wrong: set[str] = set()
        """Versions that answer golden prompts wrongly."""
        self.questions: list[Verify] = []
        """Golden prompts that are being asked."""
        self.prompts: dict[str, str] | None = None
        self.endpoints_stand_still = False
        """Those of the active Service: the controller that writes them is slow."""
        self.capacity = 1000
        """Pods that fit; what is above waits unborn."""
        self.room_is_known = False
        self.heavy: set[str] = set()
        """Versions that fit into a pod's memory only alone."""
        self.network_policies = True
        self.client_keys: dict[str, ClientKeys] = {}
        self.secrets_refused = ""
        self.route_obstacle: Obstacle | None = None
        """Why HTTPRoutes cannot be read."""
        self.route_refused = ""
        """Why HTTPRoutes cannot be written."""
        self.gateways_answer = True
        self.log: list[str] = []
        self._count = 0

    # --- what a person or a fault does

    def edit(self, wanted: dict[str, Any]) -> None:
        if wanted != self.spec:
            self.spec = wanted
            self.generation += 1

    def kill_pod(self, index: int) -> None:
        pods = self._pods()
        if pods:
            dead = pods[index % len(pods)]
            for fleet in self.fleets.values():
                fleet.pods = [pod for pod in fleet.pods if pod is not dead]

    def order(self, verb: str, revision: str | None) -> None:
        """Annotate the model; None takes the annotation off."""
        if revision is None:
            self.annotations.pop(verb, None)
        else:
            self.annotations[verb] = revision

    def misbehave(self, version: str, *, errors: int = 20, ttft_p95_ms: float = 50.0) -> None:
        """Pods of a version get 20 requests each, so many of which fail, at such a latency."""
        for pod in self._pods():
            if pod.version == version:
                pod.requests, pod.errors, pod.ttft_p95_ms = 20, errors, ttft_p95_ms

    def open_streams(self, count: int) -> None:
        """Clients go where the active Service's endpoints are."""
        listed = self.endpoints.get("chat", {})
        for pod in self._pods():
            if listed.get(pod.uid) and names.DRAIN not in pod.annotations:
                pod.streams += count

    def finish_streams(self) -> None:
        for pod in self._pods():
            pod.streams = 0
            pod.older.clear()

    def silence_pod(self, index: int, *, reachable: bool) -> None:
        if pods := self._pods():
            pods[index % len(pods)].reachable = reachable

    def lose_node(self, *pods: SimPod) -> None:
        """The kubelet under these pods is silent: nobody can ask them, and they count as not ready."""
        for pod in pods:
            pod.node_lost, pod.reachable = True, False

    def evict_lost(self) -> None:
        """Some minutes later they get a deletionTimestamp, but nobody is there to end them."""
        for pod in self._pods():
            pod.deleting = pod.deleting or pod.node_lost

    def delete_service(self, name: str) -> None:
        self.children.pop(("Service", name), None)
        self.endpoints.pop(name, None)

    def foreign(self, kind: str, name: str, labels: Mapping[str, str] | None = None) -> None:
        meta = {"name": name, "uid": "foreign", "labels": dict(labels or {})}
        content = {"metadata": meta, "kind": kind}
        self.children[kind, name] = SimChild(content, "foreign", self._next(), ours=False)

    # --- what happens by itself

    def tick(self, seconds: float = 1.0) -> None:
        """Controllers and pods do their next bit of work."""
        self.now += timedelta(seconds=seconds)
        for name, fleet in self.fleets.items():
            self._size(name, fleet)
            for pod in fleet.pods:
                self._live(name, pod)
        self._route()
        self._answer()
        self._answer_routes()

    def _size(self, name: str, fleet: SimFleet) -> None:
        lost = [pod for pod in fleet.pods if pod.deleting]
        while len(fleet.pods) > fleet.replicas + len(lost):
            fleet.pods.remove(min((pod for pod in fleet.pods if not pod.deleting), key=rank))
        running = sum(len(each.pods) for each in self.fleets.values())
        while len(fleet.pods) < fleet.replicas + len(lost) and running < self.capacity:
            number, running = self._next(), running + 1
            version = fleet.born_with
            fleet.pods.append(SimPod(f"{name}-{number}", f"pod-{number}", self.now, version))
        fleet.refused = "exceeded quota" if len(fleet.pods) < fleet.replicas else ""

    def _live(self, fleet: str, pod: SimPod) -> None:
        settings = self.children.get(("ConfigMap", names.settings(fleet)))
        if settings is None or not settings.ours:
            return  # the kubelet cannot mount it, or it holds nothing that the server reads
        if pod.born == self.now or names.SETTINGS in pod.annotations:
            told = json.loads(settings.content["data"]["settings.json"])
            pod.generation = told["generation"]
            pod.wants = [each["version"] for each in told.get("versions", ())] or [pod.version]
            pod.prefers = told["activeVersion"]
        load(pod, broken=self.broken, heavy=self.heavy)

    def _answer(self) -> None:
        """Pods that were asked golden prompts have answered."""
        for asked in self.questions:
            fleet = self.fleets.get(asked.fleet)
            if fleet is None or fleet.uid != asked.uid:
                continue
            right = asked.version not in self.wrong
            gates = tuple(
                GateResult(name=name, passed=right, message="answered", answer="4", ttft_ms=9.0)
                for name, _ in asked.asked.named()
            )
            fleet.annotations[names.VERIFICATION] = write_result(Result(subject=asked.subject, gates=gates))
            fleet.resource_version = self._next()
        self.questions.clear()

    def _route(self) -> None:
        for (kind, name), child in self.children.items():
            if kind != "Service" or (name == "chat" and self.endpoints_stand_still):
                continue
            selector = child.content.get("spec", {}).get("selector") or {}
            fleet = self.fleets.get(selector.get(names.LABEL_FLEET, ""))
            self.endpoints[name] = {pod.uid: pod.ready for pod in fleet.pods} if fleet else {}

    def _answer_routes(self) -> None:
        """Gateways accept what there is."""
        for (kind, _), child in self.children.items():
            if kind == "HTTPRoute" and child.ours and self.gateways_answer:
                parents = child.content["spec"]["parentRefs"]
                generation = child.content["metadata"]["generation"]
                said = {"type": "Accepted", "status": "True", "observedGeneration": generation}
                answers = [{"parentRef": parent, "conditions": [said]} for parent in parents]
                child.content = child.content | {"status": {"parents": answers}}

    def _pods(self) -> list[SimPod]:
        return [pod for fleet in self.fleets.values() for pod in fleet.pods]

    def _next(self) -> int:
        self._count += 1
        return self._count
