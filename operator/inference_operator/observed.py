"""What the cluster looked like at one moment: all that a plan is made from. Pure data, read live.

The room `cluster` fills it. Rules for whoever does:
- list live (no resourceVersion), never from a cache;
- a Deployment is a `Fleet` only when it carries our model label and the model's uid controls it;
- `children` holds every Service, ConfigMap, PodDisruptionBudget and NetworkPolicy with our model label, and besides whatever
  stands under a name that a plan could write (`names_to_look_up`, `names_of_fleet`), ours or not: what is not ours
  is never touched, and a Deployment appears among the children only when it is not ours;
- the HTTPRoute is looked up only for a model that asks for one or whose status tells of one;
- a pod that cannot be asked has `report=None`, which means unknown and never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from inference_operator import names
from inference_operator.reasons import Condition, Reason
from inference_operator.reports import PodReport
from inference_operator.room import Room
from inference_operator.weights import Incoming, Outgoing, Weights, read_mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why a container waits or ended: `state.waiting`, or `state.terminated` and else `lastState.terminated`."""

    reason: str
    message: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    name: str
    uid: str
    ip: str = ""
    ready: bool = False
    """The pod's Ready condition."""
    deleting: bool = False
    """Has a deletionTimestamp: it counts as gone."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    restarts: int = 0
    waiting: Trouble | None = None
    terminated: Trouble | None = None
    unschedulable: str = ""
    """The message of PodScheduled=False; empty when it is scheduled or not yet tried."""
    report: PodReport | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """A Deployment of ours. Its marks are annotations, so they outlive this operator."""

    name: str
    uid: str
    resource_version: str
    revision: str
    version: str
    replicas: int
    """Asked for (`spec.replicas`)."""
    created_at: datetime
    annotations: Mapping[str, str] = field(default_factory=dict)
    replica_failure: str = ""
    """The message of the Deployment's ReplicaFailure condition: quota, LimitRange, Pod Security."""
    pods: tuple[Pod, ...] = ()

    @property
    def live_pods(self) -> tuple[Pod, ...]:
        """Its pods without those that are being deleted."""
        return tuple(pod for pod in self.pods if not pod.deleting)

    @property
    def ready_pods(self) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.live_pods if pod.ready)

    @property
    def prepare_started(self) -> datetime | None:
        return self._time(names.PREPARE_STARTED)

    @property
    def promoted_at(self) -> datetime | None:
        return self._time(names.PROMOTED_AT)

    @property
    def drain_started(self) -> datetime | None:
        return self._time(names.DRAIN_STARTED)

    @property
    def drained_at(self) -> datetime | None:
        return self._time(names.DRAINED_AT)

    @property
    def recalled_at(self) -> datetime | None:
        return self._time(names.RECALLED)

    @property
    def awaiting_since(self) -> datetime | None:
        return self._time(names.AWAITING_SINCE)

    @property
    def failed(self) -> str:
        """`Reason: message`, or empty."""
        return self.annotations.get(names.FAILED, "")

    @property
    def weights(self) -> Weights | None:
        """What new work goes to; None for a fleet of an operator that did not write it down."""
        return read_mark(self.annotations, names.WEIGHTS, Weights)

    @property
    def incoming(self) -> Incoming | None:
        return read_mark(self.annotations, names.INCOMING, Incoming)

    @property
    def outgoing(self) -> Outgoing | None:
        return read_mark(self.annotations, names.OUTGOING, Outgoing)

    def _time(self, annotation: str) -> datetime | None:
        return read_time(self.annotations.get(annotation, ""))


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A Service, ConfigMap, PodDisruptionBudget, NetworkPolicy or HTTPRoute, or a stranger under one of our names."""

    kind: str
    name: str
    uid: str
    resource_version: str
    ours: bool
    """The model's uid controls it (ownerReferences, controller: true)."""
    content: Mapping[str, Any]
    """The whole object."""

    @property
    def labels(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.content.get("metadata", {}).get("labels") or {}
        return found

    @property
    def annotations(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.content.get("metadata", {}).get("annotations") or {}
        return found

    @property
    def selector(self) -> Mapping[str, str]:
        """A Service's; empty when it has none."""
        found: Mapping[str, str] = self.content.get("spec", {}).get("selector") or {}
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The InferenceModel as the API gave it."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: Mapping[str, Any]
    annotations: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    """As last written."""
    deleting: bool = False

    @property
    def route_noted(self) -> bool:
        """An HTTPRoute may have been made for it: its status tells of one since before that."""
        conditions = self.status.get("conditions") or ()
        return any(found.get("type") == Condition.ROUTE_ACCEPTED for found in conditions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """Why something could not be read."""

    reason: Reason
    message: str
    """A sentence without its full stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientKeys:
    """What stands in the Secret of one of `spec.clients`: never a key, only what may be shown of it."""

    digests: tuple[str, ...] = ()
    """SHA-256 in hex, the present key first."""
    problem: str = ""
    """Why a key is missing, as a sentence without its full stop; empty when nothing is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    now: datetime
    """Aware, UTC."""
    model: Model
    fleets: tuple[Fleet, ...] = ()
    children: tuple[Child, ...] = ()
    endpoints: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """By Service name: the pods (uid) in its EndpointSlices, and whether `conditions.ready`."""
    room: Room | None = None
    """What is free in the cluster; None where nobody asked for it (`strategy.asks_for_room`) or it may not be seen."""
    default_image: str = ""
    """For models that name no image; empty: such a model is invalid."""
    network_policies: bool = True
    """Whether this operator was told to keep a NetworkPolicy for each model."""
    operator_namespace: str = ""
    """Where the operator's own pods are; empty: not known."""
    fingerprint: str = ""
    """Of everything that was listed; equal to that of a later survey when nothing has changed."""
    client_keys: Mapping[str, ClientKeys] = field(default_factory=dict)
    """By the client's name."""
    prompts: Mapping[str, str] | None = None
    """The data of the ConfigMap that `spec.rollout.verification.promptsFrom` names; None where there is none."""
    secrets_refused: str = ""
    """Why Secrets could not be read at all, as a sentence without its full stop; empty where they could."""
    route_obstacle: Obstacle | None = None
    """Of the HTTPRoute, which is among the children where it is read: of a model that has one or may have one."""

    @property
    def streams(self) -> int:
        """Active, of all pods that could be asked."""
        pods = [pod for fleet in self.fleets for pod in fleet.live_pods]
        return sum(pod.report.streams.active for pod in pods if pod.report)

    def child(self, kind: str, name: str) -> Child | None:
        return next((child for child in self.children if (child.kind, child.name) == (kind, name)), None)

    def ready_endpoints(self, service: str) -> frozenset[str]:
        """The uids of the pods that the Service really sends requests to."""
        return frozenset(uid for uid, ready in self.endpoints.get(service, {}).items() if ready)


Place = tuple[str, str]
"""Kind and name."""


def names_to_look_up(model: str, fleets: Iterable[str]) -> tuple[Place, ...]:
    """All that a plan writes beside these fleets; a list by our label would not show it if it were foreign."""
    services = (("Service", names.active_service(model)), ("Service", names.preview_service(model)))
    of_fleets = (place for fleet in fleets for place in names_of_fleet(fleet))
    return (*services, ("NetworkPolicy", names.network_policy(model)), *of_fleets)


def names_of_fleet(name: str) -> tuple[Place, ...]:
    """All that a plan writes for a fleet of that name."""
    return (
        ("Deployment", name),
        ("ConfigMap", names.settings(name)),
        ("PodDisruptionBudget", names.disruption_budget(name)),
    )


def read_time(text: str) -> datetime | None:
    """An RFC 3339 time, or None when it is none: a mark that a hand garbled is set anew."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None
