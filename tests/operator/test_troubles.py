"""What ails pods, told in words."""

from __future__ import annotations

import pytest

from inference_operator.diagnosis import diagnose
from inference_operator.observed import Fleet, Pod, Trouble
from inference_operator.reports import ModelReport, PodReport, VersionReport
from tests.operator.model_cluster import START


def pod(**facts) -> Pod:
    return Pod(name="chat-abc-1", uid="p1", **facts)


def fleet(*pods: Pod, **facts) -> Fleet:
    return Fleet(
        name="chat-abc",
        uid="f",
        resource_version="1",
        revision="abc",
        version="1.0.0",
        replicas=1,
        created_at=START,
        pods=pods,
        **facts,
    )


def loading(state: str, message: str) -> PodReport:
    versions = {"1.0.0": VersionReport(state=state, message=message)}
    return PodReport(draining=False, settings_generation=1, models={"chat": ModelReport(versions=versions)})


WRAPPED = (
    'Back-off pulling image "host/server:9": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image '
    '"host/server:9": failed to resolve reference "host/server:9": host/server:9: not found'
)


TROUBLES = {
    "the image is not there": (
        fleet(pod(waiting=Trouble(reason="ImagePullBackOff", message='Back-off pulling image "x"'))),
        "ImagePullFailed",
        'Pod chat-abc-1 cannot get its image: Back-off pulling image "x"',
    ),
    "the registry says why, and the runtime wraps it three times": (
        fleet(pod(waiting=Trouble(reason="ImagePullBackOff", message=WRAPPED))),
        "ImagePullFailed",
        "Pod chat-abc-1 cannot get its image: host/server:9: not found",
    ),
    "it ends again and again, with its last words": (
        fleet(
            pod(
                waiting=Trouble(reason="CrashLoopBackOff"),
                terminated=Trouble(reason="Error", message="no such model\n", exit_code=1),
                restarts=3,
            )
        ),
        "CrashLooping",
        "Pod chat-abc-1 ended (3 restarts); the last time with exit code 1 and said: no such model",
    ),
    "memory is short": (
        fleet(pod(terminated=Trouble(reason="OOMKilled", exit_code=137), restarts=1)),
        "OutOfMemory",
        "Pod chat-abc-1 was killed for want of memory (1 restart); raise spec.server.resources.limits.memory",
    ),
    "no node has room, with what lacks": (
        fleet(pod(unschedulable="0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")),
        "Unschedulable",
        "No node has room for pod chat-abc-1: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
    ),
    "the quota is used up": (
        fleet(replica_failure='pods "chat" is forbidden: exceeded quota: gpus'),
        "QuotaExceeded",
        'Pods are refused: pods "chat" is forbidden: exceeded quota: gpus',
    ),
    "the weights cannot be loaded": (
        fleet(pod(report=loading("failed", "hf://org/model: 404"))),
        "LoadFailed",
        "Pod chat-abc-1 cannot load version 1.0.0: hf://org/model: 404",
    ),
    "a Secret lacks": (
        fleet(pod(waiting=Trouble(reason="CreateContainerConfigError", message='secret "s" not found'))),
        "ContainerConfigError",
        'Pod chat-abc-1 cannot be started: secret "s" not found',
    ),
}


@pytest.mark.parametrize(("found", "reason", "message"), TROUBLES.values(), ids=TROUBLES.keys())
def test_what_ails_pods_is_told_in_words(found, reason, message):
    finding = diagnose(found)
    assert finding is not None
    assert (finding.reason, finding.message) == (reason, message)


HEALTHY = {
    "it is ready, though it once ended": fleet(
        pod(ready=True, terminated=Trouble(reason="Error"), restarts=1)
    ),
    "it is loading": fleet(pod(report=loading("loading", "shard 2 of 4"))),
    "it is being created": fleet(pod(waiting=Trouble(reason="ContainerCreating"))),
    "it is on its way out": fleet(pod(deleting=True, waiting=Trouble(reason="ImagePullBackOff"))),
}


@pytest.mark.parametrize("found", HEALTHY.values(), ids=HEALTHY.keys())
def test_nothing_is_said_to_be_wrong_while(found):
    assert diagnose(found) is None
