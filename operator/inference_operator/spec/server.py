"""spec.server and spec.gpu: the pods that hold the weights. Rolling: any change is a new revision."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from inference_operator.room.quantity import parse_amounts
from inference_operator.spec.base import Name, Section

Quantity = str | int

RESERVED = frozenset(
    f"REALTIME_SERVE_{flag}"
    for flag in (
        "MODEL",
        "MODEL_REVISION",
        "MODEL_SHA256",
        "SERVED_NAME",
        "MODEL_VERSION",
        "DTYPE",
        "MAX_MODEL_LENGTH",
        "DEVICE",
        "HOST",
        "PORT",
        "SETTINGS",
        "POD_ANNOTATIONS",
        "DRAIN_TIMEOUT",
    )
)
"""Environment variables whose flags are on the server's command line, where they would be in vain."""


class Gpu(Section, frozen=True, kw_only=True):
    """Accelerators of one pod; count 0 serves on the CPU."""

    count: Annotated[int, Meta(ge=0, le=64)] = 1
    resource: Annotated[str, Meta(min_length=1, max_length=253)] = "nvidia.com/gpu"


class KeyRef(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=253)]
    key: Annotated[str, Meta(min_length=1, max_length=253)]
    optional: bool = False


class EnvSource(Section, frozen=True, kw_only=True):
    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None

    def __post_init__(self) -> None:
        if (self.secret_key_ref is None) == (self.config_map_key_ref is None):
            raise ValueError("give exactly one of secretKeyRef and configMapKeyRef")


class EnvVar(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
    value: Annotated[str, Meta(max_length=32_768)] = ""
    value_from: EnvSource | None = None

    def __post_init__(self) -> None:
        if self.name in RESERVED:
            raise ValueError(f"{self.name} is set by the operator from other fields of the spec")
        if self.value and self.value_from is not None:
            raise ValueError(f"{self.name} has both value and valueFrom; give one")


class SecretName(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=253)]


class Resources(Section, frozen=True, kw_only=True):
    requests: Annotated[dict[str, Quantity], Meta(max_length=32)] = field(default_factory=dict)
    limits: Annotated[dict[str, Quantity], Meta(max_length=32)] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, amounts in (("requests", self.requests), ("limits", self.limits)):
            try:
                parse_amounts(amounts)
            except ValueError as error:
                raise ValueError(f"{kind}: {error}") from error


class Server(Section, frozen=True, kw_only=True):
    image: Annotated[str, Meta(max_length=1024)] = ""
    """Empty: the operator's own default, and a newer operator's default makes no new revision."""
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    image_pull_secrets: Annotated[tuple[SecretName, ...], Meta(max_length=16)] = ()
    resources: Resources = Resources()
    env: Annotated[tuple[EnvVar, ...], Meta(max_length=64)] = ()
    node_selector: Annotated[dict[str, Annotated[str, Meta(max_length=63)]], Meta(max_length=64)] = field(
        default_factory=dict
    )
    tolerations: Annotated[tuple[dict[str, Any], ...], Meta(max_length=32)] = ()
    affinity: dict[str, Any] = field(default_factory=dict)
    runtime_class_name: Name = ""
    priority_class_name: Name = ""
    compile: bool = False
    """Layers become code made for the node's processor."""
    restarted_at: Annotated[str, Meta(max_length=64)] = ""
    """Any text; a change of it is nothing but a new revision, whose pods are made anew."""

    def __post_init__(self) -> None:
        names = [variable.name for variable in self.env]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"env names {', '.join(twice)} more than once")
        secrets = [secret.name for secret in self.image_pull_secrets]
        if twice := sorted({name for name in secrets if secrets.count(name) > 1}):
            raise ValueError(f"imagePullSecrets names {', '.join(twice)} more than once")
