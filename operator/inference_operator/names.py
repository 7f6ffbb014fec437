"""Every name, label and annotation that this operator writes or reads. Pure."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from inference_operator.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Container

GROUP = "realtime-serve.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "InferenceModel"
PLURAL = "inferencemodels"

MANAGER = "inference-operator"
"""Field manager of everything we apply."""
ROUTER = "inference-operator-router"
"""Field manager of the active Service's selector alone, so that applying children never moves traffic."""

LABEL_MODEL = f"{GROUP}/model"
LABEL_FLEET = f"{GROUP}/fleet"
LABEL_REVISION = f"{GROUP}/revision"

# on pods
DRAIN = f"{GROUP}/drain"
SETTINGS = f"{GROUP}/settings"
RETIRE = f"{GROUP}/retire"
"""When it was told to leave the endpoints, because fewer pods are wanted."""
IDLE_SINCE = f"{GROUP}/idle-since"
"""When a pod that leaves was first seen without streams."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
# on every child
APPLIED = f"{GROUP}/applied"
"""Hash of the manifest as last applied: tells a field we dropped from one we never had."""
# on Deployments; times are RFC 3339
FLEET_VERSION = f"{GROUP}/version"
FLEET_REVISION = f"{GROUP}/revision"
PREPARE_STARTED = f"{GROUP}/prepare-started"
PROMOTING = f"{GROUP}/promoting"
"""Written just before the flip, so that any older decision about this fleet meets a new resourceVersion."""
PROMOTED_AT = f"{GROUP}/promoted-at"
"""When it was first seen active: such a fleet may have streams and is drained before it is stopped."""
DRAIN_STARTED = f"{GROUP}/drain-started"
DRAINED_AT = f"{GROUP}/drained-at"
"""When its streams were first seen at zero."""
FAILED = f"{GROUP}/failed"
"""`Reason: message`."""
FAILED_AT = f"{GROUP}/failed-at"
FAILED_ASK = f"{GROUP}/failed-ask"
"""Fingerprint of the spec that failed: the same ask is not tried again."""
FAILED_REVISION = f"{GROUP}/failed-revision"
"""What failed, where that is not the fleet's own revision: a version that was to be loaded into its pods."""
SCALE_TO = f"{GROUP}/scale-to"
"""The size that its autoscaler wants, while pods still finish their streams."""
LOW_SINCE = f"{GROUP}/low-since"
"""Since when the load asked for fewer pods, and the highest it asked for in that time."""
STRATEGY = f"{GROUP}/strategy"
"""How the rollout that made this fleet was begun, and why: `BlueGreen: message`."""
RECREATE = f"{GROUP}/recreate"
"""The revision that this fleet makes way for: it drains and stops before that one starts."""
TEMPLATE = f"{GROUP}/template"
"""JSON of what its pods were made from: `manifests.Template`."""
MOLD = f"{GROUP}/mold"
"""Fingerprint of what its pods cannot change while they run."""
WEIGHTS = f"{GROUP}/weights"
"""JSON of what its pods serve: `weights.Weights`."""
INCOMING = f"{GROUP}/incoming"
"""JSON of the version that is being loaded beside it: `weights.Incoming`."""
OUTGOING = f"{GROUP}/outgoing"
"""JSON of the version that only finishes its streams: `weights.Outgoing`."""
IN_PLACE_SINCE = f"{GROUP}/in-place-since"
"""When a version was first loaded beside another: from then on the settings list what is to be loaded."""
VERIFYING = f"{GROUP}/verifying"
"""Whose golden prompts are being asked: `verification.subject`."""
VERIFICATION = f"{GROUP}/verification"
"""JSON of what was answered: `verification.Result`."""
AWAITING_SINCE = f"{GROUP}/awaiting-approval-since"
"""When nothing but a person's approval was missing."""
RECALLED = f"{GROUP}/recalled"
"""When it was called back: it had the traffic before and is to have it again."""
RETRIED = f"{GROUP}/retried"
"""Of a fleet that failed: the `retry` that stood on the model then, which is thereby used up."""
# on InferenceModels, each naming the revision that it means
PROMOTE = f"{GROUP}/promote"
ABORT = f"{GROUP}/abort"
RETRY = f"{GROUP}/retry"
ROLLBACK = f"{GROUP}/rollback"
PAUSE = f"{GROUP}/pause"
VERBS = (PROMOTE, ABORT, RETRY, ROLLBACK, PAUSE)

MODEL_NAME_LENGTH = 40
"""Hashes and counts are appended, and a Service's name may have 63 characters."""
_MODEL_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels and no look-alikes: hashes spell no words


def check_model_name(name: str) -> None:
    """Raise InvalidSpec unless Services and Deployments can be named after `name`."""
    if len(name) > MODEL_NAME_LENGTH:
        raise InvalidSpec(
            "metadata.name", f"has {len(name)} characters; at most {MODEL_NAME_LENGTH} are allowed"
        )
    if not _MODEL_NAME.fullmatch(name):
        raise InvalidSpec(
            "metadata.name",
            f"{name!r} cannot name a Service; allowed are lower-case letters, digits and '-', a letter first",
        )


def short_hash(text: str, length: int = 8) -> str:
    """`length` characters that stand for `text`, safe in any Kubernetes name."""
    number = int.from_bytes(sha256(text.encode()).digest())
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def fleet(model: str, revision: str, taken: Container[str] = ()) -> str:
    """The name for a new fleet: `<model>-<revision>`, with a count behind it while that is taken."""
    name, count = f"{model}-{revision}", 1
    while name in taken:
        count += 1
        name = f"{model}-{revision}-{count}"
    return name


def fleet_candidates(model: str, revision: str) -> tuple[str, ...]:
    """The names that a new fleet would take first."""
    return tuple(f"{model}-{revision}{suffix}" for suffix in ("", "-2", "-3"))


def active_service(model: str) -> str:
    return model


def preview_service(model: str) -> str:
    return f"{model}-preview"


def settings(fleet_name: str) -> str:
    """The ConfigMap with the runtime settings of a fleet."""
    return f"{fleet_name}-settings"


def disruption_budget(fleet_name: str) -> str:
    return fleet_name


def network_policy(model: str) -> str:
    return f"{model}-pods"


def http_route(model: str) -> str:
    return model


def model_labels(model: str) -> dict[str, str]:
    """The labels of every child."""
    return {
        "app.kubernetes.io/name": "realtime-serve",
        "app.kubernetes.io/instance": model,
        "app.kubernetes.io/component": "model-server",
        "app.kubernetes.io/managed-by": MANAGER,
        LABEL_MODEL: model,
    }


def fleet_labels(model: str, fleet_name: str, revision: str) -> dict[str, str]:
    """The labels of what belongs to one fleet."""
    return model_labels(model) | {LABEL_FLEET: fleet_name, LABEL_REVISION: revision}


def fleet_selector(model: str, fleet_name: str) -> dict[str, str]:
    """What selects the pods of one fleet and no others."""
    return {LABEL_MODEL: model, LABEL_FLEET: fleet_name}
