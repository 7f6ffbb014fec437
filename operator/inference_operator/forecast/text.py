"""A forecast as a person reads it. Pure."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

from inference_operator import names
from inference_operator.actions import Action, AnnotatePod, Apply, Delete, Flip, PatchFleet, Verify
from inference_operator.forecast.changes import Change, Effect
from inference_operator.forecast.run import Forecast, Round

WIDTH = 100
_LONGEST_VALUE = 40
_MEANING: dict[Effect, str] = {
    "rolling": "new pods",
    "live": "no restart",
    "steering": "read at each step",
}


def render(found: Forecast) -> str:
    """Several lines, ending with a newline."""
    blocks = [_headline(found), _changes(found), _steps(found), _end(found)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _headline(found: Forecast) -> str:
    if not found.before:
        return f"InferenceModel {found.model} would be new: revision {found.after}."
    if found.before == found.after:
        return f"InferenceModel {found.model} keeps its revision {found.after}: no pod is restarted."
    return f"InferenceModel {found.model} goes from revision {found.before} to {found.after}."


def _changes(found: Forecast) -> str:
    if not found.before:
        return ""
    if not found.changed:
        return "No field changes."
    width = max(len(change.path) for change in found.changed)
    return "\n".join(["Changed fields:", *(_change(change, width) for change in found.changed)])


def _change(change: Change, width: int) -> str:
    values = f"{_value(change.before)} -> {_value(change.after)}"
    kind = f"{change.effect:8} ({_MEANING[change.effect]})"
    return f"  {change.path:{width}}  {kind:28}  {values}"


def _value(value: Any) -> str:
    if value is None:
        return "(not set)"
    return textwrap.shorten(json.dumps(value, ensure_ascii=False), _LONGEST_VALUE, placeholder=" ...")


def _steps(found: Forecast) -> str:
    if found.refused:
        return _paragraph(f"Refused: {found.refused}")
    if not found.rounds:
        return "Nothing would be done."
    lines = ["Steps, if all goes well:"]
    for number, each in enumerate(found.rounds, 1):
        lines.extend(_round(number, each))
    return "\n".join(lines)


def _round(number: int, each: Round) -> Iterator[str]:
    said = each.message or "What has changed is applied."
    yield _paragraph(said, first=f"{number:4}. {each.step or 'keep':14} ", rest=21)
    yield from (_paragraph(line, first=" " * 21 + "- ", rest=23) for line in _described(each.actions))


def _end(found: Forecast) -> str:
    phase = found.status["phase"]
    if found.refused:
        return ""
    if phase == "Ready":
        return _paragraph(f"In the end: {found.said('Ready')}")
    return _paragraph(f"Then it stays {phase}: {found.said('Progressing')}")


def _described(actions: Iterable[Action]) -> Iterator[str]:
    """One line an action; what is done to several pods alike is one line."""
    counted = Counter(_sentence(action) for action in actions)
    for sentence, count in counted.items():
        yield sentence if count == 1 else sentence.replace("1 pod", f"{count} pods", 1)


def _sentence(action: Action) -> str:
    match action:
        case Apply():
            return f"apply {action.manifest['kind']} {action.manifest['metadata']['name']}"
        case PatchFleet():
            size = [] if action.replicas is None else [f"set replicas to {action.replicas}"]
            return f"Deployment {action.fleet}: {', '.join([*size, *_marks(action.annotations)])}"
        case Flip():
            return f"Service {action.service} selects fleet {action.selector[names.LABEL_FLEET]}"
        case AnnotatePod():
            return f"1 pod: {', '.join(_marks(action.annotations))}"
        case Delete():
            return f"delete {action.kind} {action.name}"
        case Verify():
            asked = f"{len(action.asked.prompts)} golden prompts, {action.asked.warmup} warm-up requests"
            return f"ask each of {len(action.pods)} pods: {asked}"
        case _:
            assert_never(action)


def _marks(annotations: Mapping[str, str | None]) -> list[str]:
    return [
        f"{'unmark' if value is None else 'mark'} {key.partition('/')[2]}"
        for key, value in annotations.items()
    ]


def _paragraph(text: str, *, first: str = "", rest: int = 0) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * rest, break_on_hyphens=False
    )
