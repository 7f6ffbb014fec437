"""What a body of the OpenAI API asks for, in the server's own words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from realtime_serve.engine.messages import Sampling
from realtime_serve.errors import InvalidRequest
from realtime_serve.generation.request import Conversation, GenerationRequest, Origin
from realtime_serve.web.openai.bodies import Body, ChatBody, CompletionBody, Message

_SEED_MASK = 2**63 - 1


class Wish(NamedTuple):
    """A generation, and how its answer shall be written."""

    request: GenerationRequest
    stream: bool
    include_usage: bool
    continuous_usage: bool


def read_chat(body: ChatBody, origin: Origin) -> Wish:
    """Chat messages for the model's template."""
    newer = body.max_completion_tokens is not None
    request = GenerationRequest(
        id=origin.request_id,
        caller=origin.caller,
        version=origin.version,
        kind="chat",
        model=body.model,
        prompt=Conversation(tuple(_message(message) for message in body.messages)),
        sampling=_sampling(body),
        max_tokens=body.max_completion_tokens if newer else body.max_tokens,
        max_tokens_field="max_completion_tokens" if newer else "max_tokens",
        stop=_stops(body),
        ignore_eos=bool(body.ignore_eos),
    )
    return _wish(body, request)


def read_completion(body: CompletionBody, origin: Origin) -> Wish:
    """A plain prompt, as text or as token ids."""
    request = GenerationRequest(
        id=origin.request_id,
        caller=origin.caller,
        version=origin.version,
        kind="completion",
        model=body.model,
        prompt=_prompt(body.prompt),
        sampling=_sampling(body),
        max_tokens=body.max_tokens,
        stop=_stops(body),
        ignore_eos=bool(body.ignore_eos),
    )
    return _wish(body, request)


def _wish(body: Body, request: GenerationRequest) -> Wish:
    options = body.stream_options
    return Wish(
        request,
        stream=bool(body.stream),
        include_usage=bool(options and options.include_usage),
        continuous_usage=bool(options and options.continuous_usage_stats),
    )


def _sampling(body: Body) -> Sampling:
    return Sampling(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=max(body.top_k or 0, 0),
        seed=None if body.seed is None else body.seed & _SEED_MASK,
    )


def _stops(body: Body) -> tuple[str, ...]:
    if body.stop is None:
        return ()
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def _message(message: Message) -> Mapping[str, Any]:
    """Templates know `system`, not OpenAI's newer word for it, and text, not parts."""
    role = "system" if message.role == "developer" else message.role
    content = message.content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    named = {} if message.name is None else {"name": message.name}
    return {"role": role, "content": text, **named}


def _prompt(prompt: str | list[str | int | list[int]]) -> str | list[int]:
    """One prompt: OpenAI also takes lists of prompts, of which one with a single prompt is taken here."""
    if isinstance(prompt, str):
        return prompt
    tokens = [item for item in prompt if isinstance(item, int)]
    if len(tokens) == len(prompt):
        return tokens
    if len(prompt) == 1 and not isinstance(prompt[0], int):
        return prompt[0]
    raise InvalidRequest("prompt", "one prompt a request: a text, or a list of token ids")
