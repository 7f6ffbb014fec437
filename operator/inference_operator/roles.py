"""Who is who among a model's fleets at this moment. Pure.

The active Service's selector alone says which fleet is active. The rest follows from marks on the Deployments:
a fleet that was active, or was about to be when the operator died, may have streams: it only ever *leaves* (is
drained, then stopped). A fleet that never came so far can be stopped at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.spec import ask, revision
from inference_operator.verification import Asked, asked

if TYPE_CHECKING:
    from inference_operator.observed import Fleet, Observed
    from inference_operator.spec import Spec


@dataclass(frozen=True, kw_only=True, slots=True)
class Roles:
    active: Fleet | None
    """Gets the traffic; or got it last, when the Service lost its selector."""
    routed: bool
    """The active Service really selects the active fleet."""
    preview: Fleet | None
    """Is being prepared for the wanted revision, or called back because it had the traffic before."""
    leaving: tuple[Fleet, ...]
    """Were active: told to drain, or soon to be. Oldest first."""
    superseded: tuple[Fleet, ...]
    """Were being prepared, and are not wanted any more."""
    resting: tuple[Fleet, ...]
    """At zero, kept as history. The one that began longest ago first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """All that a gate looks at."""

    observed: Observed
    spec: Spec
    revision: str
    """Wanted."""
    ask: str
    roles: Roles

    @property
    def arrived(self) -> bool:
        """The wanted revision is the active one, and to stay."""
        active = self.roles.active
        return active is not None and active.revision == self.revision and not self.condemned

    @property
    def condemned(self) -> bool:
        """The active fleet failed under traffic on this very ask: its predecessor is to have the traffic again."""
        active = self.roles.active
        return active is not None and active.revision == self.revision and failed_on(active, self.ask)

    @property
    def previous(self) -> Fleet | None:
        """Who had the traffic before the active fleet and could have it again: a warm one first."""
        return _previous(self.roles)

    @property
    def asked(self) -> Asked:
        """What a new fleet must answer."""
        texts = self.observed.prompts
        return asked(self.spec.rollout.verification, None if texts is None else dict(texts))

    def verb(self, name: str) -> str:
        """The revision that an annotation of the model names, or empty."""
        return self.observed.model.annotations.get(name, "").strip()

    @property
    def size(self) -> int:
        """Pods that the active fleet is to have. With an autoscaler of our own the fleet itself tells its last word."""
        asked, scaling = self.spec.replicas, self.spec.autoscaling
        if scaling is None or asked == 0:
            return asked
        if scaling.external:
            return min(max(asked, scaling.min_replicas), scaling.max_replicas)
        active = self.roles.active
        if active is None or active.replicas == 0:
            return min(max(asked, scaling.min_replicas), scaling.max_replicas)
        mark = active.annotations.get(names.SCALE_TO, "")
        return int(mark) if mark.isdecimal() else active.replicas

    @property
    def preview_size(self) -> int:
        """By the same rule, but what is on its way out of the active fleet still counts."""
        active, scaling = self.roles.active, self.spec.autoscaling
        own = scaling is not None and not scaling.external and self.spec.replicas > 0
        return max(self.size, active.replicas if active and own else 0, 1)

    @property
    def flipping(self) -> bool:
        """The traffic is on the move: a fleet that had it was not told to drain yet."""
        return any(fleet.drain_started is None for fleet in self.roles.leaving)

    @property
    def rolling_out(self) -> bool:
        active = self.roles.active
        inside = active is not None and (active.incoming is not None or active.outgoing is not None)
        return self.roles.preview is not None or inside or self.flipping

    @property
    def recreating(self) -> bool:
        """The active fleet makes way: it drains and stops before the wanted revision starts."""
        active = self.roles.active
        if active is None or self.arrived or self.failure is not None:
            return False
        asked = self.spec.rollout.strategy == "Recreate" or self.roles.preview is not None
        return asked and active.annotations.get(names.RECREATE) == self.revision

    @property
    def failure(self) -> Fleet | None:
        """The fleet that failed on this very ask; while there is one, the revision is not tried again."""
        return next((fleet for fleet in self.observed.fleets if self.is_failure(fleet)), None)

    @property
    def kept(self) -> Fleet | None:
        """A fleet at zero that ran, or began to run, the wanted revision and did not fail."""
        fit = [fleet for fleet in self.roles.resting if fleet.revision == self.revision and not fleet.failed]
        return fit[-1] if fit else None

    def is_failure(self, fleet: Fleet) -> bool:
        failed = fleet.annotations.get(names.FAILED_REVISION, fleet.revision)
        same = failed == self.revision and fleet.annotations.get(names.FAILED_ASK) == self.ask
        return same and bool(fleet.failed)


def set_scene(observed: Observed, spec: Spec) -> Scene:
    wanted, asked_for = revision(spec), ask(spec)
    roles = cast_roles(observed, wanted, asked_for)
    return Scene(observed=observed, spec=spec, revision=wanted, ask=asked_for, roles=roles)


def cast_roles(observed: Observed, wanted: str | None, asked_for: str = "") -> Roles:
    """Give every fleet exactly one role. `wanted` None (the spec makes no sense): nothing is prepared.

    `asked_for` is the fingerprint of the whole spec: a fleet that failed on it makes way for its predecessor.
    """
    routed = _routed_fleet(observed)
    active = routed or _last_promoted(observed.fleets)
    others = sorted((fleet for fleet in observed.fleets if fleet is not active), key=_began)
    running = [fleet for fleet in others if fleet.replicas > 0]
    if active is None or active.revision != wanted:
        preview = _preview(running, wanted)
    elif failed_on(active, asked_for):
        preview = _called_back(running)
    else:
        preview = None
    return Roles(
        active=active,
        routed=routed is not None,
        preview=preview,
        leaving=tuple(fleet for fleet in running if fleet is not preview and _had_traffic(fleet)),
        superseded=tuple(fleet for fleet in running if fleet is not preview and not _had_traffic(fleet)),
        resting=tuple(fleet for fleet in others if fleet.replicas == 0),
    )


def _routed_fleet(observed: Observed) -> Fleet | None:
    model = observed.model.name
    service = observed.child("Service", names.active_service(model))
    if service is None or not service.ours:
        return None
    selector = dict(service.selector)
    return next((f for f in observed.fleets if names.fleet_selector(model, f.name) == selector), None)


def _last_promoted(fleets: tuple[Fleet, ...]) -> Fleet | None:
    """Who had the traffic when nothing says who has it: the Service was deleted, or its selector spoiled.

    One that was surely active comes before one that was only about to be.
    """
    candidates = [fleet for fleet in fleets if _had_traffic(fleet) and fleet.drain_started is None]
    return max(candidates, key=_promoted, default=None)


def _promoted(fleet: Fleet) -> tuple[float, str, str]:
    since = fleet.promoted_at.timestamp() if fleet.promoted_at else 0.0
    return since, fleet.annotations.get(names.PROMOTING, ""), fleet.name


def failed_on(fleet: Fleet, asked_for: str) -> bool:
    """It failed, and nothing else was asked for since."""
    return bool(fleet.failed) and fleet.annotations.get(names.FAILED_ASK) == asked_for


def _preview(running: list[Fleet], wanted: str | None) -> Fleet | None:
    """The newest fleet of the wanted revision that is on its way up; else one that had the traffic and is still warm."""
    fit = [fleet for fleet in running if fleet.revision == wanted and not fleet.failed]
    rising = [fleet for fleet in fit if not _left(fleet)]
    return rising[-1] if rising else max(fit, key=_promoted, default=None)


def _called_back(running: list[Fleet]) -> Fleet | None:
    """The predecessor of an active fleet that failed: one that was called back already, else the last one promoted."""
    fit = [fleet for fleet in running if not fleet.failed]
    back = [fleet for fleet in fit if names.RECALLED in fleet.annotations]
    warm = [fleet for fleet in fit if fleet.promoted_at is not None]
    return max(back or warm, key=_promoted, default=None)


def _previous(roles: Roles) -> Fleet | None:
    """A fleet at zero comes second: it would have to load first."""
    if roles.active and names.IN_PLACE_SINCE in roles.active.annotations:
        return None  # its predecessor was a version in its own pods
    warm = [fleet for fleet in (roles.preview, *roles.leaving) if fleet and _may_return(fleet, roles)]
    cold = [fleet for fleet in roles.resting if _may_return(fleet, roles)]
    return max(warm or cold, key=_promoted, default=None)


def _may_return(fleet: Fleet, roles: Roles) -> bool:
    known = fleet.promoted_at is not None or names.RECALLED in fleet.annotations
    return known and not fleet.failed and fleet is not roles.active


def _left(fleet: Fleet) -> bool:
    """Asked of a fleet that is not active: was it?"""
    return names.PROMOTED_AT in fleet.annotations or names.DRAIN_STARTED in fleet.annotations


def _had_traffic(fleet: Fleet) -> bool:
    """It was active, or was about to be: the flip may have been done and its mark not."""
    return _left(fleet) or names.PROMOTING in fleet.annotations


def _began(fleet: Fleet) -> tuple[float, str]:
    return ((fleet.prepare_started or fleet.created_at).timestamp(), fleet.name)
