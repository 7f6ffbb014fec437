"""A cluster as pure data: it does what plans ask, as the API server, the Deployment controller and pods would.

Preconditions are held (uid, resourceVersion, selector), so a plan made from an old observation meets here what
it would meet there. Faults are methods; time moves by `tick`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from inference_operator import names
from inference_operator.actions import Action, AnnotatePod, Apply, Delete, Flip, PatchFleet, Plan, Verify
from inference_operator.observed import Child, ClientKeys, Fleet, Model, Observed, Pod, Trouble
from inference_operator.plan import plan
from inference_operator.reports import (
    ErrorsReport,
    LatencyReport,
    ModelReport,
    PodReport,
    StreamsReport,
    VersionReport,
)
from inference_operator.room import Node, Room
from inference_operator.scaling.scale import PERIOD
from inference_operator.strategy import asks_for_room
from inference_operator.verification import GateResult, Result, write_result

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
UID = "model-uid"


class Stale(Exception):
    """A precondition did not hold."""


def spec(version: str = "1.0.0", **sections: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "model": {"uri": "hf://org/model", "version": version},
        "gpu": {"count": 0},
        "rollout": {"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 120},
    }
    return base | sections


@dataclass
class SimPod:
    name: str
    uid: str
    born: datetime
    version: str
    ready: bool = False
    deleting: bool = False
    reachable: bool = True
    node_lost: bool = False
    streams: int = 0
    generation: int = 0
    requests: int = 0
    errors: int = 0
    ttft_p95_ms: float = 50.0
    restarts: int = 0
    annotations: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    """A version that never loads."""
    held: dict[str, str] = field(default_factory=dict)
    """State by version, of what it has loaded or tries to."""
    active: str = ""
    """The version that new streams begin on; `streams` are those of this one."""
    why: str = ""
    """Of the last version that failed."""
    wants: list[str] = field(default_factory=list)
    prefers: str = ""
    older: dict[str, int] = field(default_factory=dict)
    """Streams on versions that were active before."""


@dataclass
class SimFleet:
    manifest: dict[str, Any]
    uid: str
    resource_version: int
    born: datetime
    replicas: int
    annotations: dict[str, str]
    pods: list[SimPod] = field(default_factory=list)
    born_with: str = ""
    """The version on its pods' command line."""
    refused: str = ""
    """Why not all of its pods are there."""


@dataclass
class SimChild:
    content: dict[str, Any]
    uid: str
    resource_version: int
    ours: bool = True


class ModelCluster:
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
        self.capacity = 1000
        """Pods that fit; what is above waits unborn."""
        self.room_is_known = False
        self.heavy: set[str] = set()
        """Versions that fit into a pod's memory only alone."""
        self.network_policies = True
        self.client_keys: dict[str, ClientKeys] = {}
        self.secrets_refused = ""
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

    def foreign(self, kind: str, name: str) -> None:
        content = {"metadata": {"name": name, "uid": "foreign"}, "kind": kind}
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

    def _size(self, name: str, fleet: SimFleet) -> None:
        lost = [pod for pod in fleet.pods if pod.deleting]
        while len(fleet.pods) > fleet.replicas + len(lost):
            fleet.pods.remove(min((pod for pod in fleet.pods if not pod.deleting), key=_rank))
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
        self._load(pod)

    def _load(self, pod: SimPod) -> None:
        """What is not listed goes when it is idle; after that others load, each in an engine of its own, at birth at once."""
        for version in [held for held in pod.held if held not in pod.wants]:
            busy = pod.streams if version == pod.active else pod.older.get(version, 0)
            pod.held[version] = "draining"
            if not busy:
                del pod.held[version]
                pod.active = "" if version == pod.active else pod.active
        leaving = set(pod.held) - set(pod.wants)
        for version in [] if leaving else pod.wants:
            others = [other for other in pod.held if other != version]
            crowded = others and (version in self.heavy or any(other in self.heavy for other in others))
            match pod.held.get(version), version in self.broken or crowded:
                case ("ready", _) | ("failed", _):
                    pass
                case _, True:
                    pod.held[version] = "failed" if pod.active else "loading"
                    pod.why = "OutOfMemory: it does not fit" if crowded else "torn"
                case None, False if pod.active:
                    pod.held[version] = "loading"
                case _:
                    pod.held[version] = "ready"
        if pod.prefers != pod.active and pod.held.get(pod.prefers) == "ready":
            if pod.active:
                pod.older[pod.active] = pod.older.get(pod.active, 0) + pod.streams
            pod.active, pod.streams = pod.prefers, pod.older.pop(pod.prefers, 0)
        serves = pod.held.get(pod.active) in {"ready", "draining"} and pod.active not in self.broken
        pod.ready = serves and not pod.node_lost and names.RETIRE not in pod.annotations

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
            if kind != "Service":
                continue
            selector = child.content.get("spec", {}).get("selector") or {}
            fleet = self.fleets.get(selector.get(names.LABEL_FLEET, ""))
            self.endpoints[name] = {pod.uid: pod.ready for pod in fleet.pods} if fleet else {}

    # --- what the API server shows

    def observe(self) -> Observed:
        seen = self._seen()
        if not self.room_is_known or not asks_for_room(seen):
            return seen
        used = sum(len(fleet.pods) for fleet in self.fleets.values())
        amounts = {"pods": Decimal(self.capacity)}, {"pods": Decimal(used)}
        return replace(seen, room=Room(nodes=(Node(name="a", allocatable=amounts[0], used=amounts[1]),)))

    def _seen(self) -> Observed:
        return Observed(
            now=self.now,
            model=Model(
                namespace="default",
                name="chat",
                uid=UID,
                generation=self.generation,
                resource_version="1",
                spec=self.spec,
                annotations=self.annotations,
                status=self.status,
                deleting=self.deleting,
            ),
            fleets=tuple(self._show_fleet(name, fleet) for name, fleet in self.fleets.items()),
            children=tuple(self._show_child(key, child) for key, child in self.children.items()),
            endpoints={name: dict(pods) for name, pods in self.endpoints.items()},
            default_image="server:1",
            network_policies=self.network_policies,
            operator_namespace="system",
            prompts=self.prompts,
            client_keys=dict(self.client_keys),
            secrets_refused=self.secrets_refused,
        )

    def _show_fleet(self, name: str, fleet: SimFleet) -> Fleet:
        return Fleet(
            name=name,
            uid=fleet.uid,
            resource_version=str(fleet.resource_version),
            revision=fleet.annotations[names.FLEET_REVISION],
            version=fleet.annotations[names.FLEET_VERSION],
            replicas=fleet.replicas,
            created_at=fleet.born,
            annotations=dict(fleet.annotations),
            replica_failure=fleet.refused,
            pods=tuple(_show_pod(pod) for pod in fleet.pods),
        )

    def _show_child(self, key: tuple[str, str], child: SimChild) -> Child:
        return Child(
            kind=key[0],
            name=key[1],
            uid=child.uid,
            resource_version=str(child.resource_version),
            ours=child.ours,
            content=child.content,
        )

    # --- what a plan asks

    def act(self, action: Action) -> None:
        """Raises Stale when a precondition does not hold."""
        match action:
            case Apply():
                self._apply(action)
            case PatchFleet():
                self._patch(action)
            case Flip():
                self._flip(action)
            case AnnotatePod():
                self._annotate(action)
            case Delete():
                self._delete(action)
            case Verify():
                self.questions.append(action)
        self.log.append(describe(action))

    def _apply(self, action: Apply) -> None:
        manifest = dict(action.manifest)
        key = (manifest["kind"], manifest["metadata"]["name"])
        if key[0] == "Deployment":
            if key[1] in self.fleets or key in self.children:
                raise Stale
            self._create_fleet(key[1], manifest)
            return
        child = self.children.get(key)
        if (child.uid if child else "") != action.uid:
            raise Stale
        content = dict(manifest)
        selector = child.content.get("spec", {}).get("selector") if child else None
        if key == ("Service", "chat") and selector:
            content["spec"] = content["spec"] | {"selector": selector}
        uid = child.uid if child else f"child-{self._next()}"
        self.children[key] = SimChild(content, uid, self._next())

    def _create_fleet(self, name: str, manifest: dict[str, Any]) -> None:
        annotations = dict(manifest["metadata"]["annotations"])
        replicas = manifest["spec"]["replicas"]
        self.fleets[name] = SimFleet(
            manifest,
            f"fleet-{self._next()}",
            self._next(),
            self.now,
            replicas,
            annotations,
            born_with=annotations[names.FLEET_VERSION],
        )

    def _patch(self, action: PatchFleet) -> None:
        fleet = self.fleets.get(action.fleet)
        if fleet is None or (fleet.uid, str(fleet.resource_version)) != (action.uid, action.resource_version):
            raise Stale
        for key, value in action.annotations.items():
            if value is None:
                fleet.annotations.pop(key, None)
            else:
                fleet.annotations[key] = value
        if action.replicas is not None:
            fleet.replicas = action.replicas
        fleet.resource_version = self._next()

    def _flip(self, action: Flip) -> None:
        service = self.children.get(("Service", action.service))
        if service is None or str(service.resource_version) != action.resource_version:
            raise Stale
        if (service.content["spec"].get("selector") or {}) != dict(action.expect):
            raise Stale
        spec_ = service.content["spec"] | {"selector": dict(action.selector)}
        service.content = service.content | {"spec": spec_}
        service.resource_version = self._next()

    def _annotate(self, action: AnnotatePod) -> None:
        for pod in self._pods():
            if pod.uid == action.uid:
                for key, value in action.annotations.items():
                    if value is None:
                        pod.annotations.pop(key, None)
                    else:
                        pod.annotations[key] = value

    def _delete(self, action: Delete) -> None:
        if action.kind == "Deployment":
            if action.name in self.fleets and self.fleets[action.name].uid == action.uid:
                del self.fleets[action.name]
            return
        child = self.children.get((action.kind, action.name))
        if child is not None and child.uid == action.uid:
            del self.children[action.kind, action.name]

    # --- a whole round

    def round(self, *, seconds: float = 1.0) -> Plan:
        """Observe, plan, do all of it, report; then time passes."""
        made = plan(self.observe())
        self.carry_out(made)
        self.tick(seconds)
        return made

    def carry_out(self, made: Plan, *, stop_after: int | None = None) -> bool:
        """Whether all was done. `stop_after`: the operator is killed after so many actions."""
        for action in made.actions[:stop_after]:
            try:
                self.act(action)
            except Stale:
                return False
        if stop_after is not None and stop_after <= len(made.actions):
            return False
        if made.status is not None:
            self.status = dict(made.status)
        return True

    def settle(self, rounds: int = 200) -> Plan:
        """Rounds until neither the operator nor the cluster has anything left to do; the last plan.

        One that looks at the load from time to time is given the time of its window.
        """
        quiet = 0
        for _ in range(rounds):
            before = replace(self.observe(), now=START)
            made = self.round()
            rests = not made.actions and before == replace(self.observe(), now=START)
            quiet = quiet + 1 if rests and made.recheck_after in {None, PERIOD} else 0
            if quiet > (0 if made.recheck_after is None else 8):
                return made
        raise AssertionError(f"not at rest after {rounds} rounds: {self.log[-12:]}")

    @property
    def active(self) -> str:
        service = self.children.get(("Service", "chat"))
        selector = (service.content.get("spec", {}).get("selector") if service else None) or {}
        return str(selector.get(names.LABEL_FLEET, ""))

    @property
    def running(self) -> dict[str, int]:
        """Fleets with replicas, by version."""
        return {name: fleet.replicas for name, fleet in self.fleets.items() if fleet.replicas}

    def _pods(self) -> list[SimPod]:
        return [pod for fleet in self.fleets.values() for pod in fleet.pods]

    def _next(self) -> int:
        self._count += 1
        return self._count


def _rank(pod: SimPod) -> tuple[bool, int, int]:
    """Whom the Deployment's controller takes first: not ready, then the lowest cost, then the youngest."""
    cost = int(pod.annotations.get(names.DELETION_COST, "0"))
    return pod.ready, cost, -int(pod.uid.removeprefix("pod-"))


def _show_pod(pod: SimPod) -> Pod:
    draining = names.DRAIN in pod.annotations
    counts = {**pod.older, pod.active or pod.version: pod.streams}
    versions = {
        version: VersionReport(
            state=state,
            message=pod.why if state == "failed" else "",
            active_streams=counts.get(version, 0),
        )
        for version, state in (pod.held or {pod.version: "loading"}).items()
    }
    report = PodReport(
        draining=draining,
        settings_generation=pod.generation,
        models={"chat": ModelReport(active_version=pod.active, versions=versions)},
        streams=StreamsReport(active=sum(counts.values())),
        errors={pod.active: ErrorsReport(requests_total=pod.requests, errors_total=pod.errors)},
        latency={pod.active: LatencyReport(ttft_p95_ms=pod.ttft_p95_ms, ttft_count=pod.requests)},
    )
    shown = Pod(
        name=pod.name,
        uid=pod.uid,
        ip="10.0.0.1",
        ready=pod.ready,
        deleting=pod.deleting,
        restarts=pod.restarts,
        annotations=dict(pod.annotations),
        report=report if pod.reachable else None,
    )
    if not pod.failure:
        return shown
    return replace(shown, waiting=Trouble(reason=pod.failure))


def describe(action: Action) -> str:
    """An action in a few words, for tables of tests."""
    match action:
        case Apply(manifest=manifest):
            return f"apply {manifest['kind']} {manifest['metadata']['name']}"
        case PatchFleet(fleet=fleet, replicas=replicas, annotations=annotations):
            marks = [
                f"{'-' if value is None else '+'}{key.split('/')[1]}" for key, value in annotations.items()
            ]
            size = [] if replicas is None else [f"to {replicas}"]
            return " ".join(["patch", fleet, *size, *sorted(marks)])
        case Flip(service=service, selector=selector):
            return f"flip {service} to {selector[names.LABEL_FLEET]}"
        case AnnotatePod(pod=pod, annotations=annotations):
            marks = [
                f"{'-' if value is None else '+'}{key.split('/')[1]}" for key, value in annotations.items()
            ]
            return " ".join(["annotate", pod, *marks])
        case Delete(kind=kind, name=name):
            return f"delete {kind} {name}"
        case Verify(fleet=fleet):
            return f"ask {fleet}"
