"""Which prompts are to be asked: those of the spec, and those of a ConfigMap behind them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import yaml

from inference_operator.errors import InvalidSpec
from inference_operator.spec.verification import PROMPTS, GoldenPrompt, check_names

if TYPE_CHECKING:
    from inference_operator.spec.verification import Verification

LONGEST = 65_536
"""Characters of a list of prompts in a ConfigMap."""
DEEPEST = 16
"""Lists and objects within each other; the time to read a deeper text grows with the square of its length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What every pod of a new fleet is asked before traffic moves."""

    warmup: int = 0
    prompts: tuple[GoldenPrompt, ...] = ()
    problem: str = ""
    """Why prompts could not be read, as a sentence without its full stop; empty when nothing is wrong."""

    @property
    def nothing(self) -> bool:
        return not (self.warmup or self.prompts or self.problem)

    def named(self) -> tuple[tuple[str, GoldenPrompt], ...]:
        """Each prompt under the name of its gate."""
        return tuple((p.name or f"prompt-{number}", p) for number, p in enumerate(self.prompts, 1))


def asked(verification: Verification | None, texts: dict[str, str] | None) -> Asked:
    """`texts` is the data of the ConfigMap that `promptsFrom` names; None where there is none."""
    if verification is None:
        return Asked()
    source = verification.prompts_from
    if source is None:
        return Asked(warmup=verification.warmup_requests, prompts=verification.prompts)
    place = source.config_map_key_ref
    try:
        prompts = verification.prompts + _found(place.name, place.key, texts)
        _check(prompts)
    except InvalidSpec as error:
        return Asked(warmup=verification.warmup_requests, problem=str(error))
    return Asked(warmup=verification.warmup_requests, prompts=prompts)


def _found(name: str, key: str, texts: dict[str, str] | None) -> tuple[GoldenPrompt, ...]:
    """Raises InvalidSpec."""
    where = f"key {key} of ConfigMap {name}"
    if texts is None:
        raise InvalidSpec(where, "there is no such ConfigMap; make it, or take promptsFrom out")
    if key not in texts:
        raise InvalidSpec(
            where, f"there is no such key; the ConfigMap has {', '.join(sorted(texts)) or 'none'}"
        )
    found, problem = _read(texts[key])
    if problem:
        raise InvalidSpec(where, problem)
    return found


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[tuple[GoldenPrompt, ...], str]:
    """The prompts, or what is wrong. Several gates of a round ask, round after round, for the same text."""
    if len(text) > LONGEST:
        return (), f"has {len(text)} characters; at most {LONGEST} are allowed"
    if problem := _unfit(text):
        return (), problem
    try:
        return msgspec.convert(yaml.load(text, yaml.CSafeLoader), tuple[GoldenPrompt, ...]), ""
    except msgspec.ValidationError as error:
        return (), f"is no list of golden prompts: {error}"
    except (yaml.YAMLError, ValueError) as error:
        return (), _no_yaml(error)


def _unfit(text: str) -> str:
    """Why a text is not even to be read as YAML; empty when it may be."""
    depth = 0
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                return f"has more than {DEEPEST} lists and objects within each other"
            # An alias may stand for itself many times over: a short text would become a huge list.
            if isinstance(event, yaml.AliasEvent):
                return "uses a YAML alias (*name); write the value out"
    except yaml.YAMLError as error:
        return _no_yaml(error)
    return ""


def _no_yaml(error: Exception) -> str:
    return f"is no YAML: {' '.join(str(error).split())}"


def _check(prompts: tuple[GoldenPrompt, ...]) -> None:
    if len(prompts) > PROMPTS:
        raise InvalidSpec("golden prompts", f"are {len(prompts)} in all; at most {PROMPTS} are allowed")
    try:
        check_names(prompts)
    except ValueError as error:
        raise InvalidSpec("golden prompts", str(error)) from error
