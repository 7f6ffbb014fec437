"""`python -m inference_operator plan`: tell what an edit would do, before anyone makes it. Writes nothing anywhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import yaml

from inference_operator import names
from inference_operator.cluster.client import Client
from inference_operator.cluster.observe import Observer
from inference_operator.cluster.pods import PodReader
from inference_operator.cluster.secrets import KeyReader
from inference_operator.errors import InvalidSpec, Unreadable
from inference_operator.forecast import Forecast, empty, forecast, render, settled
from inference_operator.observed import Model, Observed
from inference_operator.options import AGAINST_CLUSTER, PlanOptions
from inference_operator.spec import parse

UNNAMED_IMAGE = "(the operator's default image)"

Manifest = Mapping[str, Any]


class Outcome(IntEnum):
    """The exit code. 1 is an error: a file or the cluster could not be read. 2 is a wrong command line."""

    NO_ROLLOUT = 0
    ROLLOUT = 3
    REFUSED = 4


async def plan_edit(chosen: PlanOptions) -> Outcome:
    """Print the forecast. Raises OperatorError when something cannot be read."""
    wanted = _read_model(chosen.file)
    observed = await _observe(chosen, wanted)
    try:
        found = forecast(observed, wanted.get("spec") or {})
    except InvalidSpec as error:
        print(f"Refused: {error}")  # noqa: T201 - what the command is for
        return Outcome.REFUSED
    print(render(found), end="")  # noqa: T201 - likewise
    return _outcome(found)


def _outcome(found: Forecast) -> Outcome:
    if found.refused:
        return Outcome.REFUSED
    return Outcome.ROLLOUT if found.rolls else Outcome.NO_ROLLOUT


async def _observe(chosen: PlanOptions, wanted: Manifest) -> Observed:
    """The model as it is: live, or at rest on the spec of a file, or not there yet."""
    if chosen.against == AGAINST_CLUSTER:
        found = await _observe_live(chosen, wanted)
        return found or empty(_model(wanted, {}), _now(), _image(chosen))
    if not chosen.against:
        return empty(_model(wanted, {}), _now(), _image(chosen))
    present = _read_model(chosen.against)
    if _name(present) != _name(wanted):
        raise Unreadable(
            f"{chosen.against} holds the model {_name(present)}, {chosen.file} the model {_name(wanted)}"
        )
    spec = present.get("spec") or {}
    try:
        return settled(empty(_model(wanted, spec), _now(), _image(chosen)), parse(spec))
    except InvalidSpec as error:
        raise Unreadable(f"{chosen.against}: {error}") from error


async def _observe_live(chosen: PlanOptions, wanted: Manifest) -> Observed | None:
    client = await Client.connect(chosen.kubeconfig)
    pods = PodReader()
    observer = Observer(client=client, pods=pods, keys=KeyReader(client=client), default_image=_image(chosen))
    try:
        return await observer.observe(_namespace(wanted), _name(wanted))
    finally:
        await pods.close()
        await client.close()


def _read_model(path: str) -> Manifest:
    """The one InferenceModel of a YAML or JSON file, `-` for standard input; other kinds beside it are passed over."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        documents = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Unreadable(f"{path}: {error}") from error
    found = [each for each in documents if each.get("kind") == names.KIND]
    if len(found) != 1:
        raise Unreadable(f"{path}: holds {len(found)} objects of kind {names.KIND}; exactly one is wanted")
    if found[0].get("apiVersion") != names.API_VERSION:
        raise Unreadable(f"{path}: apiVersion must be {names.API_VERSION}")
    if not isinstance((found[0].get("metadata") or {}).get("name"), str):
        raise Unreadable(f"{path}: metadata.name is missing")
    return found[0]


def _model(manifest: Manifest, spec: Mapping[str, Any]) -> Model:
    return Model(
        namespace=_namespace(manifest),
        name=_name(manifest),
        uid="",
        generation=1 if spec else 0,
        resource_version="",
        spec=spec,
        annotations=manifest["metadata"].get("annotations") or {},
    )


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _namespace(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace") or "default")


def _image(chosen: PlanOptions) -> str:
    return chosen.default_image or UNNAMED_IMAGE


def _now() -> datetime:
    return datetime.now(UTC)
