"""The objects that pods, traffic and settings are made of, held against files.

`OVERWRITE_GOLDEN=1 pytest tests/operator/test_manifests.py` writes the files anew; read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_operator import manifests
from inference_operator.manifests.metadata import seal
from inference_operator.observed import ClientKeys, Model
from inference_operator.spec import parse

GOLDEN = Path(__file__).parent / "golden"
OVERWRITE = os.environ.get("OVERWRITE_GOLDEN") == "1"

SMALL = {"model": {"uri": "hf://org/model", "version": "1.0.0"}, "gpu": {"count": 0}}
LARGE = {
    "model": {
        "uri": "pvc://weights/llama/8b",
        "version": "2024-11 final",
        "servedName": "llama",
        "dtype": "bfloat16",
        "maxModelLength": 8192,
        "secretRef": "hub-token",
        "cache": {"claimName": "cache"},
    },
    "replicas": 2,
    "gpu": {"count": 2},
    "server": {
        "image": "registry.example/server:2",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "pull"}],
        "resources": {"requests": {"cpu": 2, "memory": "8Gi"}, "limits": {"memory": "16Gi"}},
        "env": [
            {"name": "HF_HOME", "value": "/cache/other"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
            {"name": "CONFIG", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        ],
        "nodeSelector": {"gpu": "h200"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "runtimeClassName": "nvidia",
        "priorityClassName": "serving",
    },
    "rateLimit": {"requestsPerMinute": 60, "burst": 5, "key": "header:X-Tenant"},
    "clients": [
        {"name": "web", "secretRef": "web-key", "priority": "high", "rateLimit": {"tokensPerMinute": 9}}
    ],
    "streaming": {"resumeWindowSeconds": 30, "redisSecretRef": "redis"},
    "rollout": {"drainTimeoutSeconds": 60},
    "service": {
        "type": "NodePort",
        "nodePort": 30080,
        "annotations": {"team": "a"},
        "allowFrom": [{"podSelector": {}}],
    },
}


def model(spec: dict[str, Any]) -> Model:
    return Model(namespace="ns", name="chat", uid="uid", generation=3, resource_version="9", spec=spec)


def rendered(spec: dict[str, Any]) -> dict[str, Any]:
    owner, parsed = model(spec), parse(spec)
    text = manifests.settings_text(owner, parsed, "1.0.0", keys={"web": ClientKeys(digests=("aa", "bb"))})
    fleet = {"fleet": "chat-abc", "revision": "abc"}
    return {
        "deployment": manifests.deployment(
            owner,
            parsed,
            **fleet,
            replicas=2,
            default_image="server:1",
            prepare_started="2026-01-01T00:00:00Z",
        ),
        "settings": manifests.settings(owner, **fleet, text=text),
        "network-policy": manifests.network_policy(
            owner,
            allow_from=parsed.service.allow_from,
            operator_namespace="system",
            downloads=parsed.needs_network,
        ),
        "disruption-budget": manifests.disruption_budget(owner, **fleet),
        "active-service": manifests.active_service(owner, parsed),
        "preview-service": manifests.preview_service(owner, "chat-abc"),
    }


@pytest.mark.parametrize(("size", "spec"), [("small", SMALL), ("large", LARGE)])
def test_objects_are_what_they_were(size, spec):
    path = GOLDEN / f"{size}.yaml"
    found = yaml.safe_dump_all(rendered(spec).values(), sort_keys=False, width=110)
    if OVERWRITE:
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("spec", [SMALL, LARGE])
def test_every_object_belongs_to_the_model(spec):
    for manifest in rendered(spec).values():
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == ("uid", True)
        assert manifest["metadata"]["labels"]["realtime-serve.io/model"] == "chat"


def test_the_settings_hold_what_the_server_reads():
    text = rendered(SMALL)["settings"]["data"]["settings.json"]
    assert json.loads(text) == {
        "generation": 3,
        "activeVersion": "1.0.0",
        "batching": {"maxBatchSize": 32, "maxWaitMs": 5, "dynamic": True, "maxBatchTokens": 4096},
        "limits": {"maxConnections": 256, "maxQueue": 1024, "maxTokens": 4096, "requestTimeoutSeconds": 300},
        "streaming": {"heartbeatSeconds": 15, "bufferTokens": 1024, "idleTimeoutSeconds": 60},
    }


def test_the_settings_hold_the_limits_of_callers_and_digests_of_their_keys():
    settings = json.loads(rendered(LARGE)["settings"]["data"]["settings.json"])
    assert settings["replicas"] == 2
    assert settings["rateLimit"] == {"requestsPerMinute": 60, "burst": 5, "key": "header:X-Tenant"}
    assert settings["clients"] == [
        {
            "name": "web",
            "keySha256": ["aa", "bb"],
            "priority": "high",
            "rateLimit": {"tokensPerMinute": 9},
        }
    ]
    assert settings["streaming"]["resumeWindowSeconds"] == 30


def test_a_client_without_a_key_stays_in_the_list_so_that_the_model_is_not_opened_to_all():
    parsed = parse(SMALL | {"clients": [{"name": "web", "secretRef": "gone"}]})
    text = manifests.settings_text(model(SMALL), parsed, "1", keys={"web": ClientKeys(problem="gone")})
    assert json.loads(text)["clients"] == [{"name": "web", "keySha256": [], "priority": "normal"}]


def test_applying_the_active_service_never_moves_traffic():
    assert "selector" not in rendered(SMALL)["active-service"]["spec"]


def test_a_version_that_looks_like_a_flag_stays_a_value():
    spec = SMALL | {"model": SMALL["model"] | {"version": "--help"}}
    (container,) = rendered(spec)["deployment"]["spec"]["template"]["spec"]["containers"]
    assert "--model-version=--help" in container["args"]


@pytest.mark.parametrize("spec", [SMALL, LARGE])
def test_pods_have_time_to_drain_before_they_are_killed(spec):
    pod = rendered(spec)["deployment"]["spec"]["template"]["spec"]
    drain = parse(spec).rollout.drain_timeout_seconds
    assert pod["terminationGracePeriodSeconds"] == 5 + drain + 15


@pytest.mark.parametrize("spec", [SMALL, LARGE])
def test_pods_pass_pod_security_restricted(spec):
    """The fields of the restricted standard, one by one."""
    pod = rendered(spec)["deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    allowed = {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim"}
    assert all((volume.keys() - {"name"}) <= allowed for volume in pod["volumes"])
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False


IN_SYNC = {
    "it is there as applied": (dict.copy, True),
    "the API server added fields": (lambda found: found["spec"].update(clusterIP="10.0.0.1"), True),
    "others added a label": (lambda found: found["metadata"]["labels"].update(x="y"), True),
    "the router chose a fleet": (lambda found: found["spec"].update(selector={"a": "b"}), True),
    "a port was changed": (lambda found: found["spec"]["ports"][0].update(port=81), False),
    "a label was taken off": (lambda found: found["metadata"]["labels"].clear(), False),
    "the owner was taken off": (lambda found: found["metadata"].pop("ownerReferences"), False),
}


@pytest.mark.parametrize(("change", "wanted"), IN_SYNC.values(), ids=IN_SYNC.keys())
def test_an_object_is_applied_again_only_when_what_we_own_differs(change, wanted):
    manifest = rendered(LARGE)["active-service"]
    found = json.loads(json.dumps(manifest))
    change(found)
    assert manifests.in_sync(manifest, found) is wanted


def test_a_field_that_we_stop_to_ask_for_is_noticed():
    more = seal({"metadata": {"annotations": {"a": "1", "b": "2"}}})
    less = seal({"metadata": {"annotations": {"a": "1"}}})
    assert manifests.in_sync(more, json.loads(json.dumps(more)))
    assert not manifests.in_sync(less, more)


@pytest.mark.parametrize("asked", [True, False])
def test_a_fleet_is_told_to_compile_where_that_is_asked_for(asked):
    deployment = rendered(SMALL | {"server": {"compile": asked}})["deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert ("--compile=on" in container["args"]) == asked
