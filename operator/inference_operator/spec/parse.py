"""From the resource's spec as the API server gives it to types; a mistake is named by its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from inference_operator.errors import InvalidSpec
from inference_operator.spec.base import Section
from inference_operator.spec.live import Autoscaling, Batching, Client, Limits, RateLimit, Service, Streaming
from inference_operator.spec.rollout import Rollout
from inference_operator.spec.server import Gpu, Server
from inference_operator.spec.source import LOCAL, ModelSource

if TYPE_CHECKING:
    from collections.abc import Mapping


class Spec(Section, frozen=True, kw_only=True):
    """The whole spec. `model`, `gpu`, `server` and the Redis of `streaming` are rolling; all else is live."""

    model: ModelSource
    replicas: Annotated[int, Meta(ge=0, le=1000)] = 1
    autoscaling: Autoscaling | None = None
    gpu: Gpu = Gpu()
    server: Server = Server()
    batching: Batching = Batching()
    limits: Limits = Limits()
    rate_limit: RateLimit | None = None
    clients: Annotated[tuple[Client, ...], Meta(max_length=256)] = ()
    streaming: Streaming = Streaming()
    rollout: Rollout = Rollout()
    service: Service = Service()
    suspend: bool = False

    @property
    def needs_network(self) -> bool:
        """Pods connect to something outside: they download weights, or keep streams in Redis."""
        return self.model.scheme not in LOCAL or bool(self.streaming.redis_secret_ref)

    def __post_init__(self) -> None:
        names = [client.name for client in self.clients]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"clients named {', '.join(twice)} appear more than once")


def parse(raw: Mapping[str, object]) -> Spec:
    """The spec in types. Raises InvalidSpec with the path of the first thing wrong."""
    try:
        return msgspec.convert(raw, Spec)
    except msgspec.ValidationError as error:
        raise _located(str(error)) from error


def _located(message: str) -> InvalidSpec:
    """Msgspec writes `problem - at `$.a.b[0]``; the path comes first here, as people read it."""
    problem, separator, path = message.rpartition(" - at `$")
    if not separator:
        return InvalidSpec("spec", message)
    return InvalidSpec("spec" + path.rstrip("`"), problem)
