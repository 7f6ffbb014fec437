"""A model's chat template: messages become the prompt that the model was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from realtime_serve.errors import ChatTemplateRefused


class _GenerationTag(Extension):
    """`{% generation %}` marks the assistant's words for training; for a prompt its body is all that counts."""

    tags = {"generation"}  # noqa: RUF012  Jinja declares it as a plain class variable

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """Renders messages as transformers' `apply_chat_template` does, without its import of torch (0.5 GB).

    The template comes with the weights, so it runs in Jinja's sandbox.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = _strftime_now
        self._template = environment.from_string(source)
        self._knows_tools = "tools" in find_undeclared_variables(environment.parse(source))
        self._special_tokens = dict(special_tokens)

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """Return the prompt, ending where the assistant begins to speak.

        Raises:
            ChatTemplateRefused: the template does not take these messages (their order or a role, as a rule), or
                knows nothing of tools.

        """
        if tools and not self._knows_tools:
            raise ChatTemplateRefused("it knows nothing of tools", param="tools")
        try:
            return self._template.render(
                messages=messages,
                tools=list(tools) or None,
                add_generation_prompt=True,
                **self._special_tokens,
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise ChatTemplateRefused(str(error)) from error


def _tojson(value: object, *, indent: int | None = None, ensure_ascii: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().astimezone().strftime(layout)
