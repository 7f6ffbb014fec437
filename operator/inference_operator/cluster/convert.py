"""From the API's objects to what is observed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from inference_operator import names
from inference_operator.observed import Child, Fleet, Model, Pod, Trouble
from inference_operator.reports import PodReport

Object = Mapping[str, Any]

CONTAINER = "server"


def read_model(content: Object) -> Model:
    meta = content["metadata"]
    return Model(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=meta["generation"],
        resource_version=meta["resourceVersion"],
        spec=content.get("spec") or {},
        annotations=meta.get("annotations") or {},
        status=content.get("status") or {},
        deleting="deletionTimestamp" in meta,
    )


def read_fleet(content: Object, pods: Iterable[Pod]) -> Fleet:
    meta = content["metadata"]
    annotations = meta.get("annotations") or {}
    labels = meta.get("labels") or {}
    return Fleet(
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        # The label tells what it was born for; a version may have been loaded in its place since.
        revision=annotations.get(names.FLEET_REVISION) or labels.get(names.LABEL_REVISION, ""),
        version=annotations.get(names.FLEET_VERSION, ""),
        replicas=content["spec"].get("replicas", 1),
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
        annotations=annotations,
        replica_failure=_failed_message(content, "ReplicaFailure", "True"),
        pods=tuple(pods),
    )


def read_pod(content: Object, report: PodReport | None) -> Pod:
    meta, status = content["metadata"], content.get("status") or {}
    container = _server_container(status)
    state = container.get("state") or {}
    last = (container.get("lastState") or {}).get("terminated")
    return Pod(
        name=meta["name"],
        uid=meta["uid"],
        ip=status.get("podIP", ""),
        ready=_condition(content, "Ready").get("status") == "True",
        deleting="deletionTimestamp" in meta,
        annotations=meta.get("annotations") or {},
        restarts=container.get("restartCount", 0),
        waiting=_trouble(state.get("waiting")),
        terminated=_trouble(state.get("terminated") or last),
        unschedulable=_failed_message(content, "PodScheduled", "False"),
        report=report,
    )


def read_child(kind: str, content: Object, owner_uid: str) -> Child:
    meta = content["metadata"]
    return Child(
        kind=kind,
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        ours=is_controlled_by(content, owner_uid),
        content=content,
    )


def read_endpoints(slices: Iterable[Object]) -> dict[str, dict[str, bool]]:
    """By Service: pod uid and whether it is ready. The API says that a missing `ready` means yes."""
    found: dict[str, dict[str, bool]] = {}
    for content in slices:
        service = content["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        known = found.setdefault(service, {})
        for endpoint in content.get("endpoints") or ():
            uid = (endpoint.get("targetRef") or {}).get("uid")
            if uid:
                ready = (endpoint.get("conditions") or {}).get("ready")
                known[uid] = known.get(uid, False) or ready is not False
    return found


def is_controlled_by(content: Object, uid: str) -> bool:
    owners = content["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner["uid"] == uid for owner in owners)


def fleet_of(pod: Object) -> str:
    """The fleet that a pod's label names."""
    return str(pod["metadata"].get("labels", {}).get(names.LABEL_FLEET, ""))


def _server_container(status: Object) -> Object:
    found = (entry for entry in status.get("containerStatuses") or () if entry["name"] == CONTAINER)
    return next(found, {})


def _trouble(state: Object | None) -> Trouble | None:
    if state is None:
        return None
    return Trouble(
        reason=state.get("reason", ""), message=state.get("message", ""), exit_code=state.get("exitCode")
    )


def _condition(content: Object, type_: str) -> Object:
    conditions = (content.get("status") or {}).get("conditions") or ()
    return next((found for found in conditions if found["type"] == type_), {})


def _failed_message(content: Object, type_: str, bad: str) -> str:
    """The message (else the reason) of a condition that stands at `bad`, or nothing."""
    found = _condition(content, type_)
    return str(found.get("message") or found.get("reason") or type_) if found.get("status") == bad else ""
