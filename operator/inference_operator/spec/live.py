"""The sections that reach running pods without a restart: batching, limits, streaming, clients, service."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from inference_operator.spec.base import Name, Seconds, Section

_Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_HOSTNAME = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""As the Gateway API has them."""


class Batching(Section, frozen=True, kw_only=True):
    max_batch_size: Annotated[int, Meta(ge=1, le=4096)] = 32
    max_wait_ms: Annotated[int, Meta(ge=0, le=10_000)] = 5
    dynamic: bool = True
    max_batch_tokens: Annotated[int, Meta(ge=1, le=4_194_304)] = 4096


class Limits(Section, frozen=True, kw_only=True):
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    max_queue: Annotated[int, Meta(ge=0, le=1_000_000)] = 1024
    max_tokens: Annotated[int, Meta(ge=1, le=4_194_304)] = 4096
    request_timeout_seconds: Seconds = 300


class Streaming(Section, frozen=True, kw_only=True):
    heartbeat_seconds: Annotated[int, Meta(ge=1, le=3600)] = 15
    buffer_tokens: Annotated[int, Meta(ge=1, le=1_048_576)] = 1024
    idle_timeout_seconds: Seconds = 60
    resume_window_seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    redis_secret_ref: Name = ""
    """Of the Secret whose key `url` names a Redis for jobs. Rolling, unlike the rest: it is in the pods' environment."""


class ClientRateLimit(Section, frozen=True, kw_only=True):
    requests_per_minute: _Count | None = None
    tokens_per_minute: _Count | None = None
    burst: _Count | None = None

    def __post_init__(self) -> None:
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            raise ValueError("give requestsPerMinute, tokensPerMinute, or both")


class RateLimit(ClientRateLimit, frozen=True, kw_only=True):
    key: Annotated[str, Meta(max_length=135, pattern=r"^(apiKey|address|header:[A-Za-z0-9-]{1,128})$")] = (
        "apiKey"
    )


class Client(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=63)]
    secret_ref: Annotated[str, Meta(min_length=1, max_length=253)]
    priority: Literal["high", "normal", "low"] = "normal"
    rate_limit: ClientRateLimit | None = None


class Autoscaling(Section, frozen=True, kw_only=True):
    min_replicas: Annotated[int, Meta(ge=1, le=1000)] = 1
    max_replicas: Annotated[int, Meta(ge=1, le=1000)]
    target_active_streams: Annotated[int, Meta(ge=1, le=1_000_000)] = 24
    """Of one pod, queued ones among them."""
    scale_down_stabilization_seconds: Annotated[int, Meta(ge=0, le=3600)] = 300
    external: bool = False
    """Somebody else writes spec.replicas; the bounds still hold."""

    def __post_init__(self) -> None:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas {self.min_replicas} is above maxReplicas {self.max_replicas}")


class Parent(Section, frozen=True, kw_only=True):
    """A Gateway, or those of its listeners that the section and the port leave."""

    name: Annotated[str, Meta(min_length=1, max_length=253)]
    namespace: Annotated[str, Meta(min_length=1, max_length=63, pattern=_LABEL)] | None = None
    """None: the model's own."""
    section_name: Annotated[str, Meta(min_length=1, max_length=253, pattern=_SUBDOMAIN)] | None = None
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None


class HttpRoute(Section, frozen=True, kw_only=True):
    """How gateways of the Gateway API bring requests to the active Service."""

    parent_refs: Annotated[tuple[Parent, ...], Meta(min_length=1, max_length=8)]
    hostnames: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=253, pattern=_HOSTNAME)], ...],
        Meta(max_length=16),
    ] = ()
    """Empty: those of the listeners."""

    def __post_init__(self) -> None:
        gateways = [(parent.namespace, parent.name) for parent in self.parent_refs]
        sections = [(parent.namespace, parent.name, parent.section_name) for parent in self.parent_refs]
        for parent, gateway, section in zip(self.parent_refs, gateways, sections, strict=True):
            unclear = parent.section_name is None or sections.count(section) > 1
            if gateways.count(gateway) > 1 and unclear:
                raise ValueError(
                    f"parentRefs name Gateway {parent.name} more than once: each needs a sectionName of its own"
                )


class Service(Section, frozen=True, kw_only=True):
    """How the active Service is reached from outside the cluster, and by whom."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    node_port: Annotated[int, Meta(ge=30_000, le=32_767)] | None = None
    annotations: Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=32)] = field(
        default_factory=dict
    )
    allow_from: Annotated[tuple[dict[str, Any], ...], Meta(max_length=32)] = ()
    """Peers of a NetworkPolicy; empty: everyone."""
    http_route: HttpRoute | None = None

    def __post_init__(self) -> None:
        if self.node_port is not None and self.type == "ClusterIP":
            raise ValueError("nodePort needs type NodePort or LoadBalancer")
