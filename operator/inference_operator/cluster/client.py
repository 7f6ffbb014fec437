"""The official client behind five verbs: raw objects in and out, a timeout on every call, errors of our own tree."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient

from inference_operator import names
from inference_operator.cluster.kinds import Kind
from inference_operator.cluster.pace import Pace
from inference_operator.errors import ClusterError, KindMissing, NamespaceEnding, Refused, StaleObservation

Object = dict[str, Any]
Page = list[Object]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks for a list of names, versions, labels and annotations alone."""

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
_PASSING = (HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""Of the 4xx, those that another try may change."""
PAGE = 500
"""Objects of one LIST answer."""


def _count_nothing(verb: str, code: str) -> None:
    """For a client that nobody measures."""


def _allow() -> None:
    """For a client whose writes need no lease."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """One connection pool to one API server.

    Every method raises ClusterError when the server cannot be asked, Refused when it says no for good, and
    StaleObservation when a write was decided on something that is no longer so.
    """

    api: client.ApiClient
    count: Callable[[str, str], None] = _count_nothing
    """Called with the verb and the HTTP status (or `error`) of every request."""
    guard: Callable[[], None] = _allow
    """Called before every write; raises when this process may not write any more."""
    pace: Pace | None = None
    """How fast requests may follow one another; None: as fast as they come."""
    _dynamic: DynamicClient = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_dynamic", DynamicClient(self.api))

    @classmethod
    async def connect(cls, kubeconfig: str = "", **options: Any) -> Self:
        """By `kubeconfig`, else $KUBECONFIG, else the pod's service account, else ~/.kube/config."""
        settings = client.Configuration()
        if kubeconfig or os.environ.get("KUBECONFIG") or not os.environ.get("KUBERNETES_SERVICE_HOST"):
            await _load_kubeconfig(kubeconfig, settings)
        else:
            config.load_incluster_config(client_configuration=settings)
        return cls(api=client.ApiClient(configuration=settings), **options)

    async def close(self) -> None:
        await self.api.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        try:
            return await self._send("get", "GET", kind.path(namespace, name))
        except _NotFound:
            return None

    async def get_where_known(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The same of a kind that the cluster may lack. Raises KindMissing where it does."""
        try:
            return await self._send("get", "GET", kind.path(namespace, name))
        except _NotFound as error:
            if error.kind_known:
                return None
            raise KindMissing(str(error)) from error

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        only_metadata: bool = False,
    ) -> Page:
        """All that match, live from the store; without a namespace, of all namespaces."""
        pages = self.pages(kind, namespace, labels=labels, fields=fields, only_metadata=only_metadata)
        return [item async for page in pages for item in page]

    async def pages(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        only_metadata: bool = False,
        size: int = PAGE,
    ) -> AsyncIterator[Page]:
        """The same, so many at a time."""
        accept = METADATA if only_metadata else ""
        token = ""
        while True:
            query = {
                "limit": str(size),
                "labelSelector": labels,
                "fieldSelector": fields,
                "continue": token,
            }
            answer = await self._send("list", "GET", kind.path(namespace), query=query, accept=accept)
            # The items of a list do not say what they are; a list of metadata that has none says null.
            found = answer["items"] or ()
            yield [{**item, "apiVersion": kind.api_version, "kind": kind.name} for item in found]
            token = answer["metadata"].get("continue") or ""
            if not token:
                return

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        return await self._write("create", "POST", kind.path(namespace), body, manager=names.MANAGER)

    async def replace(self, kind: Kind, namespace: str, body: Object) -> Object:
        """PUT; the body's resourceVersion must still be the newest."""
        path = kind.path(namespace, body["metadata"]["name"])
        return await self._write("update", "PUT", path, body, manager=names.MANAGER)

    async def apply(self, kind: Kind, namespace: str, body: Object, *, force: bool) -> Object:
        """Server-side apply; without `force`, a field that somebody else owns is a StaleObservation."""
        path = kind.path(namespace, body["metadata"]["name"])
        query = {"force": str(force).lower()}
        return await self._write(
            "apply", "PATCH", path, body, manager=names.MANAGER, content_type=APPLY_PATCH, query=query
        )

    async def merge(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Merge patch; metadata.uid and metadata.resourceVersion in it are preconditions."""
        return await self._write(
            "patch",
            "PATCH",
            kind.path(namespace, name),
            body,
            manager=names.MANAGER,
            content_type=MERGE_PATCH,
        )

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        steps: Sequence[Object],
        *,
        manager: str = names.MANAGER,
        subresource: str = "",
    ) -> Object:
        """JSON patch; a `test` in it that fails is a StaleObservation."""
        path = kind.path(namespace, name, subresource)
        return await self._write(
            "patch", "PATCH", path, list(steps), manager=manager, content_type=JSON_PATCH
        )

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object with this uid and, in the background, what it owns. Gone already is no error."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        self.guard()
        try:
            await self._send("delete", "DELETE", kind.path(namespace, name), body=body)
        except _NotFound:
            return

    async def _write(
        self,
        verb: str,
        method: str,
        path: str,
        body: object,
        *,
        manager: str,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        self.guard()
        asked = {"fieldManager": manager, "fieldValidation": "Strict", **(query or {})}
        try:
            return await self._send(verb, method, path, body=body, content_type=content_type, query=asked)
        except _NotFound as error:
            if method == "POST":  # what is not there is the namespace
                raise ClusterError(str(error)) from error
            raise StaleObservation(str(error)) from error

    async def _send(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        accept: str = "",
    ) -> Object:
        if self.pace is not None:
            await self.pace.wait()
        call = self._dynamic.request(
            method,
            path,
            body=body,
            serialize=False,
            content_type=content_type,
            header_params={"Accept": accept} if accept else {},
            query_params=[(key, value) for key, value in (query or {}).items() if value],
            _request_timeout=TIMEOUT,
        )
        return await self._translated(verb, f"{verb} {path}", call)

    async def _translated(self, verb: str, what: str, call: Awaitable[aiohttp.ClientResponse]) -> Object:
        try:
            answer: Object = await (await call).json()
        except ApiException as error:
            self.count(verb, str(error.status))
            raise _translate(error, what) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self.count(verb, "error")
            raise ClusterError(f"{what}: {type(error).__name__}: {error}") from error
        self.count(verb, "200")
        return answer


class _NotFound(ClusterError):
    """There is no such object, or not even its kind; never leaves this module."""

    def __init__(self, message: str, *, kind_known: bool) -> None:
        super().__init__(message)
        self.kind_known = kind_known


async def _load_kubeconfig(kubeconfig: str, settings: client.Configuration) -> None:
    path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
    try:
        await config.load_kube_config(config_file=path, client_configuration=settings)
    except config.ConfigException as error:
        raise ClusterError(f"kubeconfig {path}: {error}") from error


def _translate(error: ApiException, what: str) -> ClusterError:
    said, status = _status(error), int(error.status or 0)
    message = f"{what}: {status} {said.get('message') or error.reason}"
    if status == HTTPStatus.NOT_FOUND:
        # Only who knows the kind can tell which object is missing.
        return _NotFound(message, kind_known=bool((said.get("details") or {}).get("name")))
    if any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(said)):
        return NamespaceEnding(message)
    if status == HTTPStatus.CONFLICT or _is_stale(status, said):
        return StaleObservation(message)
    # An apply with a field that does not exist is answered with 500.
    if (400 <= status < 500 and status not in _PASSING) or "failed to create typed patch object" in message:
        return Refused(message, status=status)
    return ClusterError(message)


def _status(error: ApiException) -> Object:
    """The Status object that the API server answers with; empty when something in between has answered."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_stale(status: int, said: Object) -> bool:
    """A 422 that names no field tells of a failed `test`, or it tells of another uid."""
    named = all(cause.get("field") == "metadata.uid" for cause in _causes(said))
    return status == HTTPStatus.UNPROCESSABLE_ENTITY and named


def _causes(said: Object) -> Sequence[Object]:
    return (said.get("details") or {}).get("causes") or ()
