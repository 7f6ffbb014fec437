"""What a plan may ask the cluster to do. Pure data; the room `cluster` carries it out.

Actions are done in order; the first that fails ends the run, and the next observation plans again. Each is
idempotent or carries the state it was decided on, so a plan made from an old observation harms nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_operator.verification import Asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Apply:
    """Server-side apply, force, manager `inference-operator`.

    `uid` empty: the object must not exist yet (one that does is a StaleObservation, never taken over).
    Otherwise it must still be that object: send `metadata.uid`, which the API server holds against it.
    """

    manifest: Mapping[str, Any]
    uid: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchFleet:
    """Merge patch of a Deployment's `spec.replicas` and annotations in one write, nothing else.

    The patch carries `metadata.uid` and `metadata.resourceVersion`: a stale one is a 409, so a fleet that was
    promoted since is never scaled down. None removes an annotation; `replicas=None` leaves the size alone.
    """

    fleet: str
    uid: str
    resource_version: str
    replicas: int | None = None
    annotations: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """Move the active Service to another fleet: JSON patch, manager `inference-operator-router`.

    Tests `/metadata/resourceVersion` and the whole old `/spec/selector` (with an empty `expect` the Service
    has no selector, and `add` is right for both cases).
    """

    service: str
    resource_version: str
    expect: Mapping[str, str]
    selector: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatePod:
    """Merge patch of a pod's annotations, with `metadata.uid`. None removes one. A pod that is gone is no error."""

    pod: str
    uid: str
    annotations: Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Delete:
    """Delete with the precondition `uid`, propagation Background. Gone already is no error."""

    kind: Literal["Deployment", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy", "HTTPRoute"]
    name: str
    uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A pod to be asked."""

    name: str
    ip: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verify:
    """Ask pods the golden prompts and write the result on the fleet's Deployment.

    It takes its time, so it is only begun here; while one for the same subject runs, another does nothing.
    The result names the subject, so one that comes late speaks of nobody and harms nothing.
    """

    fleet: str
    uid: str
    subject: str
    served_name: str
    version: str
    pods: tuple[Target, ...]
    asked: Asked


Action = Apply | PatchFleet | Flip | AnnotatePod | Delete | Verify


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A Kubernetes Event on the InferenceModel, to be sent after the actions were done."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to do now, what to report, and when to look again though nothing has happened."""

    status: Mapping[str, Any] | None
    """The whole new status; write it only when it differs from `model.status`. None: write nothing (deleting).

    It holds counters (activeStreams), so an event of the model that changed its status alone must not start
    another round: compare generation and annotations, or two writes a second would feed each other.
    """
    actions: tuple[Action, ...] = ()
    route: Apply | Delete | None = None
    """What is done to the HTTPRoute, after the actions. Should it fail, its condition says so and nothing else waits."""
    events: tuple[Event, ...] = ()
    recheck_after: float | None = None
    """Seconds; None: an event or the resync will do."""
    step: str = ""
    """The rollout step taken, for the log and the metric; empty when none was."""


def write_time(moment: datetime) -> str:
    """RFC 3339 in whole seconds, as Kubernetes writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
