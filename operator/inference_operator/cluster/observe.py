"""Live reads of everything that a plan for one model needs, into one `Observed`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain

from inference_operator import names, spec
from inference_operator.cluster import convert, kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.cluster.fingerprint import edition, fingerprint
from inference_operator.cluster.pods import PodReader
from inference_operator.cluster.rooms import RoomReader
from inference_operator.cluster.routes import read_route
from inference_operator.cluster.secrets import KeyReader
from inference_operator.errors import InvalidSpec
from inference_operator.observed import (
    Child,
    Fleet,
    Model,
    Observed,
    Place,
    Pod,
    names_of_fleet,
    names_to_look_up,
)
from inference_operator.spec import Spec
from inference_operator.strategy import asks_for_room


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Observer:
    client: Client
    pods: PodReader
    keys: KeyReader
    rooms: RoomReader | None = None
    """None where nodes may not be looked at."""
    default_image: str = ""
    network_policies: bool = True
    operator_namespace: str = ""
    clock: Callable[[], datetime] = _now

    async def observe(self, namespace: str, name: str) -> Observed | None:
        """What is so now, or None where the model does not exist. Raises ClusterError."""
        content = await self.client.get(kinds.MODEL, namespace, name)
        if content is None:
            return None
        model = convert.read_model(content)
        wanted = _parse(model)
        (deployments, pods, slices, *listed), (route, obstacle) = await asyncio.gather(
            self._list(model), read_route(self.client, model, wanted)
        )
        ours = [found for found in deployments if convert.is_controlled_by(found, model.uid)]
        fleets = _fleets(ours, await self._read_pods(pods))
        children = [
            convert.read_child(kind.name, found, model.uid)
            for kind, some in zip(kinds.CHILDREN, listed, strict=True)
            for found in some
        ]
        children += [convert.read_child("Deployment", d, model.uid) for d in deployments if d not in ours]
        children += await self._look_up(model, wanted, fleets, children)
        children += [route] if route else []
        keys, refused = await self.keys.read(namespace, wanted.clients if wanted else ())
        prompts = await self._prompts(namespace, wanted)
        observed = Observed(
            now=self.clock(),
            model=model,
            fleets=fleets,
            children=tuple(children),
            endpoints=convert.read_endpoints(slices),
            default_image=self.default_image,
            fingerprint=fingerprint(content, map(edition, chain(deployments, pods, *listed))),
            network_policies=self.network_policies,
            operator_namespace=self.operator_namespace,
            prompts=prompts,
            client_keys=keys,
            secrets_refused=refused,
            route_obstacle=obstacle,
        )
        if self.rooms is None or not asks_for_room(observed):
            return observed
        return replace(observed, room=await self.rooms.read(namespace))

    async def _prompts(self, namespace: str, wanted: Spec | None) -> dict[str, str] | None:
        """The data of the ConfigMap with golden prompts, where one is named and there."""
        verification = wanted.rollout.verification if wanted else None
        if verification is None or verification.prompts_from is None:
            return None
        name = verification.prompts_from.config_map_key_ref.name
        content = await self.client.get(kinds.CONFIG_MAP, namespace, name)
        return None if content is None else content.get("data") or {}

    async def _list(self, model: Model) -> list[list[Object]]:
        """Deployments, pods, EndpointSlices, and then the kinds of children."""
        services = (names.active_service(model.name), names.preview_service(model.name))
        by_model = f"{names.LABEL_MODEL}={model.name}"
        by_service = f"kubernetes.io/service-name in ({','.join(services)})"
        wanted = [(kinds.DEPLOYMENT, by_model), (kinds.POD, by_model), (kinds.ENDPOINT_SLICE, by_service)]
        wanted += [(kind, by_model) for kind in kinds.CHILDREN]
        return await asyncio.gather(
            *(self.client.list(kind, model.namespace, labels=labels) for kind, labels in wanted)
        )

    async def _read_pods(self, pods: list[Object]) -> list[tuple[str, Pod]]:
        """Each pod with the fleet that it belongs to."""
        reports = await asyncio.gather(*(self.pods.read(pod) for pod in pods))
        return [
            (convert.fleet_of(pod), convert.read_pod(pod, report))
            for pod, report in zip(pods, reports, strict=True)
        ]

    async def _look_up(
        self, model: Model, wanted: Spec | None, fleets: Iterable[Fleet], known: Sequence[Child]
    ) -> list[Child]:
        """What stands, without our label, under a name that a plan could write."""
        taken = {fleet.name for fleet in fleets}
        seen = {(child.kind, child.name) for child in known} | {("Deployment", name) for name in taken}
        found = await self._ask(model, names_to_look_up(model.name, sorted(taken)), seen)
        revision = _unborn(wanted, fleets) if wanted else None
        for name in names.fleet_candidates(model.name, revision) if revision else ():
            places = names_of_fleet(name)
            found += await self._ask(model, places, seen | {(child.kind, child.name) for child in found})
            strangers = {(child.kind, child.name) for child in (*known, *found) if not child.ours}
            if name not in taken and strangers.isdisjoint(places):
                break  # the first that is free is the one that a plan takes
        return found

    async def _ask(self, model: Model, places: Iterable[Place], seen: Container[Place]) -> list[Child]:
        """Those of the places that hold something, but for what was seen already."""
        unseen = [place for place in places if place not in seen]
        found = await asyncio.gather(
            *(self.client.get(kinds.BY_NAME[kind], model.namespace, name) for kind, name in unseen)
        )
        return [
            convert.read_child(kind, content, model.uid)
            for (kind, _), content in zip(unseen, found, strict=True)
            if content is not None
        ]


def _fleets(deployments: Iterable[Object], pods: list[tuple[str, Pod]]) -> tuple[Fleet, ...]:
    return tuple(
        convert.read_fleet(found, (pod for fleet, pod in pods if fleet == found["metadata"]["name"]))
        for found in deployments
    )


def _unborn(wanted: Spec, fleets: Iterable[Fleet]) -> str | None:
    """The revision asked for, when a fleet may have to be made for it; None while one runs that is no failure."""
    revision = spec.revision(wanted)
    serving = (
        fleet.replicas > 0 and not fleet.failed and fleet.drain_started is None
        for fleet in fleets
        if fleet.revision == revision
    )
    return None if any(serving) else revision


def _parse(model: Model) -> Spec | None:
    """None when the spec makes no sense; the plan says so."""
    try:
        return spec.parse(model.spec)
    except InvalidSpec:
        return None
