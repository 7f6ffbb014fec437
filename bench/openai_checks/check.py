"""A check is a function whose name says what holds; it raises where that does not hold."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types.chat import ChatCompletionMessageParam

KEY = "a-random-key-of-the-checks-0123456789"


class CheckFailed(Exception):
    """The server answered, and not as it should."""


@dataclass(frozen=True)
class Subject:
    """The server that is checked, and a client of either kind."""

    url: str
    model: str
    client: openai.OpenAI
    both: openai.AsyncOpenAI
    json_bias: Mapping[str, int] = field(
        default_factory=dict
    )  # for models that write nothing but white space

    def say(self, **fields: Any) -> Any:
        """A completion."""
        return self.client.completions.create(**({"model": self.model, "prompt": "Once upon"} | fields))

    def chat(self, **fields: Any) -> Any:
        """A chat completion."""
        return self.client.chat.completions.create(**({"model": self.model, "messages": HELLO} | fields))


Check = Callable[[Subject], Any]

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24, "extra_body": {"ignore_eos": True}}
"""So many tokens, always the same ones."""


class Checks(list[Check]):
    """Those of one module, in their order."""

    def __call__(self, function: Check) -> Check:
        """Add one."""
        self.append(function)
        return function


def name_of(check: Check) -> str:
    """The check's name, as a sentence."""
    return check.__name__.replace("_", " ")


def equal(seen: object, wanted: object) -> None:
    """Both are the same."""
    if seen != wanted:
        raise CheckFailed(f"{seen!r}, not {wanted!r}")


def holds(truth: object, what: str) -> None:
    """It is as the words say."""
    if not truth:
        raise CheckFailed(what)


@contextlib.contextmanager
def refused(kind: type[openai.APIStatusError], param: str | None, code: str) -> Iterator[None]:
    """The server refuses, and names the field."""
    try:
        yield
    except kind as error:
        equal((error.param, error.code), (param, code))
    else:
        raise CheckFailed(f"was not refused with {kind.__name__}")
