"""A cluster as pure data: it does what plans ask, as the API server, the Deployment controller and pods would.

Preconditions are held (uid, resourceVersion, selector), so a plan made from an old observation meets here what
it would meet there. Faults are methods; time moves by `tick`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from inference_operator import names, timing
from inference_operator.actions import Action, AnnotatePod, Apply, Delete, Flip, PatchFleet, Plan, Verify
from inference_operator.observed import Child, Fleet, Model, Observed
from inference_operator.plan import plan
from inference_operator.room import Node, Room
from inference_operator.scaling.scale import PERIOD
from inference_operator.status import unrouted
from inference_operator.strategy import asks_for_room
from tests.operator.model_pod import SimChild, SimFleet, show_pod
from tests.operator.model_world import START, UID, World, spec

__all__ = ["START", "UID", "ModelCluster", "Stale", "describe", "spec"]


ROUTES = (timing.GATEWAY, timing.NO_ROUTE, timing.ROUTE)
"""Looks at the HTTPRoute that come for ever."""


class Stale(Exception):
    """A precondition did not hold."""


class ModelCluster(World):
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
            children=tuple(
                self._show_child(key, child)
                for key, child in self.children.items()
                if key[0] != "HTTPRoute" or (self._looks_for_routes() and not self.route_obstacle)
            ),
            endpoints={name: dict(pods) for name, pods in self.endpoints.items()},
            default_image="server:1",
            network_policies=self.network_policies,
            operator_namespace="system",
            prompts=self.prompts,
            client_keys=dict(self.client_keys),
            secrets_refused=self.secrets_refused,
            route_obstacle=self.route_obstacle if self._looks_for_routes() else None,
        )

    def _looks_for_routes(self) -> bool:
        noted = any(each["type"] == "RouteAccepted" for each in self.status.get("conditions", ()))
        return noted or "httpRoute" in self.spec.get("service", {})

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
            pods=tuple(show_pod(pod) for pod in fleet.pods),
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
        if key[0] == "HTTPRoute":
            content["metadata"] = content["metadata"] | {"generation": self._next()}
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
        """Whether all was done. `stop_after`: the operator is killed after so many actions, the route's being the last."""
        for action in made.actions[:stop_after]:
            try:
                self.act(action)
            except Stale:
                return False
        if stop_after is not None and stop_after <= len(made.actions):
            return False
        status = self._carry_out_route(made)
        if made.route and stop_after == len(made.actions) + 1:
            return False
        if status is not None:
            self.status = dict(status)
        return True

    def _carry_out_route(self, made: Plan) -> Mapping[str, Any] | None:
        """The status after it."""
        if made.route is None or made.status is None:
            return made.status
        if self.route_refused:
            return unrouted(made.status, self.observe(), self.route_refused)
        try:
            self.act(made.route)
        except Stale:
            return unrouted(made.status, self.observe(), "stale")
        return made.status

    def settle(self, rounds: int = 200) -> Plan:
        """Rounds until neither the operator nor the cluster has anything left to do; the last plan.

        One that looks at the load from time to time is given the time of its window.
        """
        quiet = 0
        for _ in range(rounds):
            before = replace(self.observe(), now=START)
            made = self.round()
            still = not made.actions and (made.route is None or bool(self.route_refused))
            rests = still and before == replace(self.observe(), now=START)
            quiet = quiet + 1 if rests and made.recheck_after in {None, PERIOD, *ROUTES} else 0
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
