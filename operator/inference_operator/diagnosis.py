"""Why the pods of a fleet do not come up, in words for the person on call. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_operator.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_operator.observed import Fleet, Pod

_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_TELLING = {
    Reason.SOURCE_NOT_FOUND,
    Reason.SOURCE_UNAUTHORISED,
    Reason.SOURCE_UNREACHABLE,
    Reason.SOURCE_INVALID,
    Reason.CHECKSUM_MISMATCH,
    Reason.OUT_OF_SPACE,
    Reason.CACHE_UNWRITABLE,
    Reason.OUT_OF_MEMORY,
}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


@dataclass(frozen=True, slots=True)
class Finding:
    reason: Reason
    message: str


def diagnose(fleet: Fleet) -> Finding | None:
    """The first thing found wrong, the most telling kind first; None while nothing is known to be wrong."""
    if fleet.replica_failure:
        return Finding(Reason.QUOTA_EXCEEDED, f"Pods are refused: {fleet.replica_failure}")
    for check in _CHECKS:
        for pod in fleet.live_pods:
            if not pod.ready and (finding := check(pod, fleet.version)):
                return finding
    return None


def _load_failed(pod: Pod, version: str) -> Finding | None:
    report = pod.report.version(version) if pod.report else None
    if report is None or report.state != "failed":
        return None
    message = f"Pod {pod.name} cannot load version {version}: {report.message}"
    return Finding(reason_of(report.message, Reason.LOAD_FAILED), message)


def _out_of_memory(pod: Pod, _version: str) -> Finding | None:
    if pod.terminated is None or pod.terminated.reason != "OOMKilled":
        return None
    return Finding(
        Reason.OUT_OF_MEMORY,
        f"Pod {pod.name} was killed for want of memory ({_restarts(pod)}); raise spec.server.resources.limits.memory",
    )


def _crash_looping(pod: Pod, _version: str) -> Finding | None:
    waits = pod.waiting is not None and pod.waiting.reason == "CrashLoopBackOff"
    if pod.terminated is None and not waits:
        return None
    said = pod.terminated.message.strip() if pod.terminated else ""
    message = f"Pod {pod.name} ended ({_restarts(pod)}){_last_words(pod)}"
    return Finding(reason_of(said, Reason.CRASH_LOOPING), message)


def _image(pod: Pod, _version: str) -> Finding | None:
    if pod.waiting is None or pod.waiting.reason not in _IMAGE:
        return None
    return Finding(
        Reason.IMAGE_PULL_FAILED,
        f"Pod {pod.name} cannot get its image: {_innermost(pod.waiting.message) or pod.waiting.reason}",
    )


def _config(pod: Pod, _version: str) -> Finding | None:
    if pod.waiting is None or pod.waiting.reason not in _CONFIG:
        return None
    return Finding(
        Reason.CONTAINER_CONFIG_ERROR,
        f"Pod {pod.name} cannot be started: {pod.waiting.message or pod.waiting.reason}",
    )


def _unschedulable(pod: Pod, _version: str) -> Finding | None:
    if not pod.unschedulable:
        return None
    return Finding(Reason.UNSCHEDULABLE, f"No node has room for pod {pod.name}: {pod.unschedulable}")


_CHECKS: tuple[Callable[[Pod, str], Finding | None], ...] = (
    _load_failed,
    _out_of_memory,
    _image,
    _config,
    _crash_looping,
    _unschedulable,
)


def reason_of(said: str, otherwise: Reason) -> Reason:
    """What a server says of its failure begins with one word; some of those words tell an operator what to mend."""
    word = said.partition(":")[0]
    return Reason(word) if word in _TELLING else otherwise


def _innermost(message: str) -> str:
    """Of `failed to do A "x": failed to do B "x": why`, the why: container runtimes wrap it several times."""
    return re.split(r'"[^"]*": ', message)[-1]


def _restarts(pod: Pod) -> str:
    return "1 restart" if pod.restarts == 1 else f"{pod.restarts} restarts"


def _last_words(pod: Pod) -> str:
    if pod.terminated is None:
        return ""
    code = "" if pod.terminated.exit_code is None else f" with exit code {pod.terminated.exit_code}"
    said = pod.terminated.message.strip()
    return f"; the last time{code}" + (f" and said: {said}" if said else "")
