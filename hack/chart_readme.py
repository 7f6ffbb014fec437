"""The values table in the chart's README, made from values.yaml and the comment above each value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_][\w.-]*):")


class UndescribedValueError(ValueError):
    """A value of the chart has no comment above it."""


@dataclass(frozen=True)
class Value:
    """One value that a user sets: its dotted path, its default and its comment."""

    path: str
    default: Any
    comment: str


def read_values(text: str) -> list[Value]:
    """All values with a comment above their key. What lies below such a key belongs to it, unless it has comments too."""
    comments = dict(read_comments(text))
    values = [
        Value(path, default, comments.get(path, ""))
        for path, default in walk(yaml.safe_load(text), "", comments)
    ]
    if bare := [value.path for value in values if not value.comment]:
        raise UndescribedValueError(f"values without a comment above them: {', '.join(bare)}")
    return values


def read_comments(text: str) -> Iterator[tuple[str, str]]:
    """Each key's dotted path with the comment lines right above it."""
    comment: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip().removeprefix("#").strip())
        elif match := KEY.match(line):
            indent = len(match["indent"])
            parents = [*((depth, key) for depth, key in parents if depth < indent), (indent, match["key"])]
            if comment:
                yield ".".join(key for _, key in parents), " ".join(comment)
            comment = []
        else:
            comment = []


def walk(node: dict[str, Any], prefix: str, comments: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Paths and defaults of the values, in the file's order."""
    for key, default in node.items():
        path = f"{prefix}{key}"
        is_group = isinstance(default, dict) and any(other.startswith(f"{path}.") for other in comments)
        if is_group or (isinstance(default, dict) and default and path not in comments):
            yield from walk(default, f"{path}.", comments)
        else:
            yield path, default


def render_table(values: list[Value]) -> str:
    rows = [
        f"| `{value.path}` | `{json.dumps(value.default)}` | {value.comment.replace('|', chr(92) + '|')} |"
        for value in values
    ]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def render(readme: str, values: str) -> str:
    """The README with a fresh table between its two marks."""
    before, mark, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"the chart's README lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{render_table(read_values(values))}\n{END}{after}"
