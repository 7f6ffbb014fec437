"""Prompts as token ids, and what of a request only the model can judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from realtime_serve.engine.grammar import GrammarInvalid, compile_schema
from realtime_serve.engine.messages import ModelCard
from realtime_serve.errors import InvalidRequest
from realtime_serve.generation.request import Conversation, GenerationRequest, Prompt
from realtime_serve.text.tokenizer import Tokenizer

_P = TypeVar("_P")
_R = TypeVar("_R")

LONG_TEXT = 8192  # characters; tokenising more takes milliseconds, so it leaves the event loop's thread
LONG_SCHEMA = 1024  # bytes; compiling more may take as long


async def encode(prompt: Prompt, tokenizer: Tokenizer, *, vocabulary: int) -> list[int]:
    """Return the prompt's tokens.

    Raises:
        InvalidRequest: it is empty, or has tokens that the model does not know.

    """
    match prompt:
        case Conversation(messages, tools):
            size = sum(len(str(message)) for message in (*messages, *tools))
            tokens = await _call(size, lambda chat: tokenizer.encode_chat(chat.messages, chat.tools), prompt)
        case str():
            tokens = await _call(len(prompt), tokenizer.encode, prompt)
        case _:
            _check("prompt", prompt, vocabulary)
            tokens = prompt
    if not tokens:
        raise InvalidRequest("prompt", "is empty")
    return tokens


def check_tokens(request: GenerationRequest, vocabulary: int) -> None:
    """Refuse tokens that the model does not know; InvalidRequest names the field."""
    _check("logit_bias", request.sampling.logit_bias, vocabulary)
    _check("stop_token_ids", request.stop_token_ids, vocabulary)


async def compile_grammar(request: GenerationRequest, card: ModelCard) -> str:
    """Return the grammar that its answers follow; empty when there is none.

    Raises:
        InvalidRequest: the schema cannot be compiled, or the model can follow no grammar.

    """
    if not request.schema:
        return ""
    if card.no_grammar:
        raise InvalidRequest(request.schema_field, f"not with this model: {card.no_grammar}")
    try:
        return await _call(len(request.schema), compile_schema, request.schema, long=LONG_SCHEMA)
    except GrammarInvalid as error:
        raise InvalidRequest(request.schema_field, str(error)) from error


def _check(field: str, tokens: Iterable[int], vocabulary: int) -> None:
    wrong = next((token for token in tokens if not 0 <= token < vocabulary), None)
    if wrong is not None:
        raise InvalidRequest(field, f"token {wrong} is outside the vocabulary (0 to {vocabulary - 1})")


async def _call(size: int, work: Callable[[_P], _R], text: _P, *, long: int = LONG_TEXT) -> _R:
    if size < long:
        return work(text)
    return await asyncio.to_thread(work, text)
