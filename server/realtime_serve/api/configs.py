"""What a server, its batches and its models are set to. Every value is checked when the object is made."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from realtime_serve.api.checks import between, one_of, text, whole
from realtime_serve.settings.version import Dtype

TRANSFORMERS = "transformers"  # the loader of every model that transformers knows
DTYPES = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One version of a model.

    Args:
        name: what requests call it.
        version: your label of these weights.
        model_path: a directory, hf://ORG/REPO, an object store or archive as --model takes it, or whatever its loader understands.
        device: where it runs.
        loader: "transformers", or a name given to `ModelRegistry.register_loader`.
        dtype: numbers' type.
        max_model_length: tokens of prompt and answer together; 0 for the model's own.
        revision: branch, tag or commit on the hub.
        sha256: of an archive, in hexadecimal; empty: not checked.
        compile: make code for this processor of the model's layers while it loads; needs a C++ compiler.
        options: whatever else your loader wants; it must be JSON.

    Raises:
        ValueError: a value is out of bounds; the message says what is allowed.

    >>> ModelConfig(name="chat", model_path="hf://Qwen/Qwen3-0.6B", version="2.0.0").loader
    'transformers'

    """

    name: str
    version: str = "1.0.0"
    model_path: str = ""
    device: str = "auto"
    loader: str = TRANSFORMERS
    dtype: Dtype = "auto"
    max_model_length: int = 0
    revision: str = "main"
    sha256: str = ""
    compile: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text("name", self.name, longest=253)
        text("version", self.version, longest=128)
        text("loader", self.loader, longest=128)
        text("model_path", self.model_path, longest=4096, empty=self.loader != TRANSFORMERS)
        one_of("device", self.device, DEVICES)
        one_of("dtype", self.dtype, DTYPES)
        if self.sha256 and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256: {self.sha256!r}; allowed are 64 hexadecimal digits")
        whole("max_model_length", self.max_model_length, 0, 16_777_216)
        one_of("compile", self.compile, (True, False))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """How requests become batches.

    Args:
        max_batch_size: sequences in one step.
        max_wait_ms: how long an idle engine waits at most for company for the first request.
        min_batch_size: 1: the first request never waits; more: it does.
        dynamic_batching: wait only while requests keep coming.

    Raises:
        ValueError: a value is out of bounds.

    >>> BatchConfig(max_batch_size=64).max_wait_ms
    50

    """

    max_batch_size: int = 32
    max_wait_ms: int = 50
    min_batch_size: int = 1
    dynamic_batching: bool = True

    def __post_init__(self) -> None:
        whole("max_batch_size", self.max_batch_size, 1, 4096)
        whole("max_wait_ms", self.max_wait_ms, 0, 10_000)
        whole("min_batch_size", self.min_batch_size, 1, self.max_batch_size)
        one_of("dynamic_batching", self.dynamic_batching, (True, False))

    @property
    def wait_ms(self) -> int:
        """What the engine is told."""
        return self.max_wait_ms if self.min_batch_size > 1 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """A server's settings.

    Args:
        host: address to listen at.
        port: 0 for any free one.
        max_connections: generation requests in progress at once.
        request_timeout: seconds from acceptance to the last token.
        rate_limit_per_minute: requests of one client, told apart by address; 0 for no limit.
        graceful_shutdown_timeout: seconds that running requests get when the server stops.

    Raises:
        ValueError: a value is out of bounds.

    >>> ServerConfig.from_environment({"REALTIME_SERVE_PORT": "9000"}).port
    9000

    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_connections: int = 256
    request_timeout: float = 30.0
    rate_limit_per_minute: int = 10_000
    graceful_shutdown_timeout: float = 30.0

    def __post_init__(self) -> None:
        text("host", self.host, longest=255)
        whole("port", self.port, 0, 65_535)
        whole("max_connections", self.max_connections, 1, 1_000_000)
        between("request_timeout", self.request_timeout, 1, 86_400)
        whole("rate_limit_per_minute", self.rate_limit_per_minute, 0, 1_000_000_000)
        between("graceful_shutdown_timeout", self.graceful_shutdown_timeout, 0, 86_400)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read REALTIME_SERVE_HOST, REALTIME_SERVE_MAX_CONNECTIONS and so on; what is not set has its default.

        Raises:
            ValueError: a variable is no number, or out of bounds.

        """
        given: dict[str, Any] = {}
        for one in fields(cls):
            variable = f"REALTIME_SERVE_{one.name.upper()}"
            if variable in environment:
                given[one.name] = _read(variable, environment[variable], type(one.default))
        return cls(**given)

    def settings(self, batching: BatchConfig) -> dict[str, Any]:
        """Return it as the settings file would say it."""
        limit = {"requestsPerMinute": self.rate_limit_per_minute, "key": "address"}
        return {
            "batching": {
                "maxBatchSize": batching.max_batch_size,
                "maxWaitMs": batching.wait_ms,
                "dynamic": batching.dynamic_batching,
            },
            "limits": {
                "maxConnections": self.max_connections,
                "requestTimeoutSeconds": math.ceil(self.request_timeout),
            },
            **({"rateLimit": limit} if self.rate_limit_per_minute else {}),
        }


def _read(variable: str, value: str, kind: type) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(f"{variable}: {value!r} is no {kind.__name__}") from error
