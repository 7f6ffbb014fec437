"""realtime-serve's server: batched, streamed language models over HTTP, and inside a program.

The names below are loaded when they are first used, so that importing this package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from realtime_serve.release import VERSION

if TYPE_CHECKING:
    from realtime_serve.api.batches import BatchScheduler
    from realtime_serve.api.configs import BatchConfig, ModelConfig, ServerConfig
    from realtime_serve.api.limits import RateLimiter
    from realtime_serve.api.log import RequestLogger
    from realtime_serve.api.metrics import MetricsCollector
    from realtime_serve.api.registry import ModelRegistry
    from realtime_serve.api.server import InferenceServer
    from realtime_serve.api.streams import StreamManager
    from realtime_serve.engine.messages import Sampling
    from realtime_serve.generation.inference import InferenceRequest, InferenceResponse, StreamToken
    from realtime_serve.generation.model import Model
    from realtime_serve.generation.request import Priority as RequestPriority
    from realtime_serve.model.protocols import LogitsModel, TokenModel
    from realtime_serve.web.chain import MiddlewareChain

__version__ = VERSION

__all__ = [
    "BatchConfig",
    "BatchScheduler",
    "InferenceRequest",
    "InferenceResponse",
    "InferenceServer",
    "LogitsModel",
    "MetricsCollector",
    "MiddlewareChain",
    "Model",
    "ModelConfig",
    "ModelRegistry",
    "RateLimiter",
    "RequestLogger",
    "RequestPriority",
    "Sampling",
    "ServerConfig",
    "StreamManager",
    "StreamToken",
    "TokenModel",
]

_HOMES = {
    "BatchConfig": "api.configs",
    "BatchScheduler": "api.batches",
    "InferenceRequest": "generation.inference",
    "InferenceResponse": "generation.inference",
    "InferenceServer": "api.server",
    "LogitsModel": "model.protocols",
    "MetricsCollector": "api.metrics",
    "MiddlewareChain": "web.chain",
    "Model": "generation.model",
    "ModelConfig": "api.configs",
    "ModelRegistry": "api.registry",
    "RateLimiter": "api.limits",
    "RequestLogger": "api.log",
    "RequestPriority": "generation.request:Priority",
    "Sampling": "engine.messages",
    "ServerConfig": "api.configs",
    "StreamManager": "api.streams",
    "StreamToken": "generation.inference",
    "TokenModel": "model.protocols",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, _, other = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{home}"), other or name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
