"""A cluster as pure data in which all goes well: pods load at once, endpoints follow, streams end when told to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from inference_operator import names
from inference_operator.actions import Action, AnnotatePod, Apply, Delete, Flip, PatchFleet, Verify
from inference_operator.in_place.listing import listing
from inference_operator.observed import Child, ClientKeys, Fleet, Model, Observed, Pod
from inference_operator.reports import ModelReport, PodReport, VersionReport
from inference_operator.spec import Spec
from inference_operator.verification import GateResult, Result, write_result

SOME_KEY = ClientKeys(digests=("0" * 64,))
"""Stands for a client's key: what it is makes no difference to any step."""


def empty(model: Model, now: datetime, default_image: str) -> Observed:
    """Before anything was made for the model."""
    return Observed(now=now, model=model, default_image=default_image)


def expecting(observed: Observed, spec: Spec) -> Observed:
    """As if the Secrets of all clients were there and could be read, and HTTPRoutes too."""
    keys = {client.name: SOME_KEY for client in spec.clients}
    return replace(observed, client_keys=keys, secrets_refused="", route_obstacle=None)


class World:
    """What is observed changes as actions ask for it, and as time passes."""

    def __init__(self, observed: Observed) -> None:
        self._fleets = {fleet.name: fleet for fleet in observed.fleets}
        self._children = {(child.kind, child.name): child for child in observed.children}
        self._rest = observed
        self._count = 0

    def observe(self) -> Observed:
        return replace(
            self._rest,
            fleets=tuple(self._fleets.values()),
            children=tuple(self._children.values()),
            endpoints=self._endpoints(),
        )

    def report(self, status: Mapping[str, Any] | None) -> None:
        if status is not None:
            self._rest = replace(self._rest, model=replace(self._rest.model, status=status))

    def pass_time(self, seconds: float) -> None:
        self._rest = replace(self._rest, now=self._rest.now + timedelta(seconds=seconds))
        for name, fleet in self._fleets.items():
            self._fleets[name] = replace(fleet, pods=self._live(fleet))

    def act(self, action: Action) -> None:
        match action:
            case Apply():
                self._apply(action)
            case PatchFleet():
                fleet = self._fleets[action.fleet]
                size = fleet.replicas if action.replicas is None else action.replicas
                marks = _patched(fleet.annotations, action.annotations)
                version, revision = marks[names.FLEET_VERSION], marks[names.FLEET_REVISION]
                self._put(
                    replace(fleet, replicas=size, annotations=marks, version=version, revision=revision)
                )
            case Flip():
                service = self._children["Service", action.service]
                spec = service.content["spec"] | {"selector": dict(action.selector)}
                self._keep(replace(service, content={**service.content, "spec": spec}))
            case AnnotatePod():
                self._annotate(action)
            case Delete(kind="Deployment"):
                self._fleets.pop(action.name, None)
            case Delete():
                self._children.pop((action.kind, action.name), None)
            case Verify():
                self._answer(action)
            case _:
                assert_never(action)

    def _answer(self, action: Verify) -> None:
        """As expected."""
        gates = tuple(GateResult(name=name, passed=True) for name, _ in action.asked.named())
        mark = write_result(Result(subject=action.subject, gates=gates))
        fleet = self._fleets[action.fleet]
        self._put(replace(fleet, annotations={**fleet.annotations, names.VERIFICATION: mark}))

    def _apply(self, action: Apply) -> None:
        manifest = dict(action.manifest)
        kind, meta = manifest["kind"], manifest["metadata"]
        if kind == "Deployment":
            self._put(self._born(manifest))
            return
        known = self._children.get((kind, meta["name"]))
        if known is not None and "selector" in known.content.get("spec", {}) and kind == "Service":
            manifest["spec"] = {"selector": known.content["spec"]["selector"], **manifest["spec"]}
        uid = known.uid if known else f"{kind}/{meta['name']}"
        if kind == "HTTPRoute":
            manifest["status"] = {"parents": [_accepted(parent) for parent in manifest["spec"]["parentRefs"]]}
        child = Child(kind=kind, name=meta["name"], uid=uid, resource_version="", ours=True, content=manifest)
        self._keep(child)

    def _born(self, manifest: Mapping[str, Any]) -> Fleet:
        meta = manifest["metadata"]
        return Fleet(
            name=meta["name"],
            uid=f"fleet/{meta['name']}",
            resource_version="",
            revision=meta["labels"][names.LABEL_REVISION],
            version=meta["annotations"][names.FLEET_VERSION],
            replicas=manifest["spec"]["replicas"],
            created_at=self._rest.now,
            annotations=meta["annotations"],
        )

    def _annotate(self, action: AnnotatePod) -> None:
        for name, fleet in self._fleets.items():
            pods = tuple(
                replace(pod, annotations=_patched(pod.annotations, action.annotations))
                if pod.uid == action.uid
                else pod
                for pod in fleet.pods
            )
            self._fleets[name] = replace(fleet, pods=pods)

    def _live(self, fleet: Fleet) -> tuple[Pod, ...]:
        """As many pods as are asked for, ready but for those that were told to leave, which go first."""
        staying = sorted(fleet.live_pods, key=lambda pod: names.RETIRE in pod.annotations)
        pods = staying[: fleet.replicas]
        for number in range(len(pods) + 1, fleet.replicas + 1):
            name = f"{fleet.name}-new-{number}"
            pods.append(Pod(name=name, uid=f"pod/{name}"))
        return tuple(
            replace(pod, ready=names.RETIRE not in pod.annotations, report=self._says(pod, fleet))
            for pod in pods
        )

    def _says(self, pod: Pod, fleet: Fleet) -> PodReport:
        told = listing(fleet)
        versions = [weights.version for weights in told.versions] or [told.active]
        held = {version: VersionReport(state="ready") for version in versions}
        return PodReport(
            draining=names.DRAIN in pod.annotations,
            settings_generation=self._rest.model.generation,
            models={self._rest.model.name: ModelReport(active_version=told.active, versions=held)},
        )

    def _endpoints(self) -> dict[str, dict[str, bool]]:
        found = {}
        for (kind, name), child in self._children.items():
            if kind == "Service":
                selector = child.content.get("spec", {}).get("selector") or {}
                fleet = self._fleets.get(selector.get(names.LABEL_FLEET, ""))
                found[name] = {pod.uid: pod.ready for pod in fleet.pods} if fleet else {}
        return found

    def _put(self, fleet: Fleet) -> None:
        self._fleets[fleet.name] = replace(fleet, resource_version=self._next_version())

    def _keep(self, child: Child) -> None:
        self._children[child.kind, child.name] = replace(child, resource_version=self._next_version())

    def _next_version(self) -> str:
        self._count += 1
        return f"forecast-{self._count}"


def _accepted(parent: Mapping[str, Any]) -> dict[str, Any]:
    """What a gateway answers."""
    return {"parentRef": parent, "conditions": [{"type": "Accepted", "status": "True"}]}


def _patched(annotations: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """A merge patch: None removes."""
    return {key: value for key, value in {**annotations, **patch}.items() if value is not None}
