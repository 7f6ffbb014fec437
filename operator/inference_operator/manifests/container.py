"""The server container: its command line, environment, probes and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator.manifests.volumes import CACHE, MODELS, SETTINGS, mounts
from inference_operator.spec.source import OBJECT_STORES, WEB

if TYPE_CHECKING:
    from inference_operator.spec import Spec
    from inference_operator.spec.server import EnvVar, KeyRef

PORT = 8000
PRE_STOP_SECONDS = 5
"""Endpoints lag behind a pod's end; it goes on serving meanwhile."""
SECRET_KEY = "token"  # noqa: S105 - the key's name, not a secret
REDIS_KEY = "url"
_STARTUP_ATTEMPTS = (
    43_200  # a day of probes each 2 s: how long is too long is the rollout deadline's business
)


def container(model_name: str, spec: Spec, *, default_image: str) -> dict[str, Any]:
    server = spec.server
    policy = {"imagePullPolicy": server.image_pull_policy} if server.image_pull_policy else {}
    return {
        "name": "server",
        "image": server.image or default_image,
        **policy,
        "args": _arguments(model_name, spec),
        "env": _environment(spec),
        **_everything_of_the_secret(spec),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(spec),
        "volumeMounts": mounts(spec),
        "startupProbe": _probe("/ready", period=2, timeout=5, failures=_STARTUP_ATTEMPTS),
        "readinessProbe": _probe("/ready", period=5, timeout=5, failures=3),
        "livenessProbe": _probe("/health", period=10, timeout=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _arguments(model_name: str, spec: Spec) -> list[str]:
    """`--flag=value`, so that a value that begins with a dash stays a value."""
    source = spec.model
    flags = {
        "model": place(source.uri),
        "model-revision": source.revision,
        "model-sha256": source.sha256,
        "served-name": source.served_name or model_name,
        "model-version": source.version,
        "dtype": source.dtype,
        "max-model-length": source.max_model_length,
        "device": "cuda" if spec.gpu.count else "cpu",
        "host": "0.0.0.0",
        "port": PORT,
        "settings": f"{SETTINGS}/settings.json",
        "pod-annotations": "/etc/podinfo/annotations",
        "drain-timeout": spec.rollout.drain_timeout_seconds,
    }
    if spec.server.compile:
        flags["compile"] = "on"
    if source.scheme != "hf":
        del flags["model-revision"]
    if not source.sha256:
        del flags["model-sha256"]
    return [f"--{flag}={value}" for flag, value in flags.items()]


def place(uri: str) -> str:
    """What the server is told: a claim is a directory by then."""
    scheme, _, rest = uri.partition("://")
    if scheme != "pvc":
        return uri
    _claim, _, path = rest.partition("/")
    return f"{MODELS}/{path}".rstrip("/")


def _environment(spec: Spec) -> list[dict[str, Any]]:
    """Ours first; a variable that the user sets wins over ours of the same name."""
    ours: list[dict[str, Any]] = [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - an emptyDir of this pod alone
        {"name": "HF_HOME", "value": f"{CACHE}/huggingface"},
        {"name": "REALTIME_SERVE_CACHE", "value": f"{CACHE}/models"},
    ]
    if spec.model.secret_ref and spec.model.scheme not in OBJECT_STORES:
        variable = "REALTIME_SERVE_SOURCE_TOKEN" if spec.model.scheme in WEB else "HF_TOKEN"
        reference = {"name": spec.model.secret_ref, "key": SECRET_KEY}
        ours.append({"name": variable, "valueFrom": {"secretKeyRef": reference}})
    if spec.streaming.redis_secret_ref:
        reference = {"name": spec.streaming.redis_secret_ref, "key": REDIS_KEY}
        ours.append({"name": "REALTIME_SERVE_REDIS_URL", "valueFrom": {"secretKeyRef": reference}})
    theirs = [_variable(variable) for variable in spec.server.env]
    named = {variable["name"] for variable in theirs}
    return [variable for variable in ours if variable["name"] not in named] + theirs


def _everything_of_the_secret(spec: Spec) -> dict[str, Any]:
    """Object stores take several values, each under the standard name of its own."""
    if not spec.model.secret_ref or spec.model.scheme not in OBJECT_STORES:
        return {}
    return {"envFrom": [{"secretRef": {"name": spec.model.secret_ref}}]}


def _variable(variable: EnvVar) -> dict[str, Any]:
    source = variable.value_from
    if source and source.secret_key_ref:
        return {"name": variable.name, "valueFrom": {"secretKeyRef": _key(source.secret_key_ref)}}
    if source and source.config_map_key_ref:
        return {"name": variable.name, "valueFrom": {"configMapKeyRef": _key(source.config_map_key_ref)}}
    return {"name": variable.name, "value": variable.value}


def _key(key: KeyRef) -> dict[str, Any]:
    return {"name": key.name, "key": key.key} | ({"optional": True} if key.optional else {})


def _resources(spec: Spec) -> dict[str, Any]:
    asked = spec.server.resources
    limits: dict[str, Any] = dict(asked.limits)
    if spec.gpu.count:
        limits[spec.gpu.resource] = str(spec.gpu.count)
    both = {"requests": dict(asked.requests), "limits": limits}
    return {kind: amounts for kind, amounts in both.items() if amounts}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }
