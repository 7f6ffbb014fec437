"""What a body of the OpenAI API asks for, in the server's own words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from realtime_serve.engine.messages import Sampling
from realtime_serve.errors import InvalidRequest
from realtime_serve.generation.request import Conversation, GenerationRequest, Origin, Prompt
from realtime_serve.web.openai.bodies import MOST_CHOICES, Body, ChatBody, CompletionBody, Message, ToolCall
from realtime_serve.web.openai.formats import schema_field, schema_of

_SEED_MASK = 2**63 - 1
NONE = -1  # logprobs


class Wish(NamedTuple):
    """A generation, and how its answer shall be written."""

    request: GenerationRequest
    stream: bool
    include_usage: bool
    continuous_usage: bool


def read_chat(body: ChatBody, origin: Origin) -> Wish:
    """Chat messages for the model's template, and the tools that it shall know of."""
    newer = body.max_completion_tokens is not None
    request = GenerationRequest(
        id=origin.request_id,
        caller=origin.caller,
        version=origin.version,
        trace=origin.trace,
        kind="chat",
        model=body.model,
        prompts=(Conversation(tuple(map(_message, body.messages)), _tools(body)),),
        sampling=_sampling(body, (body.top_logprobs or 0) if body.logprobs else NONE),
        max_tokens=body.max_completion_tokens if newer else body.max_tokens,
        max_tokens_field="max_completion_tokens" if newer else "max_tokens",
        **_common(body),
    )
    return _wish(body, request)


def read_completion(body: CompletionBody, origin: Origin) -> Wish:
    """Plain prompts, as text or as token ids."""
    request = GenerationRequest(
        id=origin.request_id,
        caller=origin.caller,
        version=origin.version,
        trace=origin.trace,
        kind="completion",
        model=body.model,
        prompts=_prompts(body),
        sampling=_sampling(body, NONE if body.logprobs is None else body.logprobs),
        max_tokens=body.max_tokens,
        echo=bool(body.echo),
        **_common(body),
    )
    return _wish(body, request)


def _wish(body: Body, request: GenerationRequest) -> Wish:
    options, least, most = body.stream_options, request.sampling.min_tokens, request.max_tokens
    if most is not None and least > most:
        raise InvalidRequest("min_tokens", f"{least} is more than the {most} of {request.max_tokens_field}")
    return Wish(
        request,
        stream=bool(body.stream),
        include_usage=bool(options and options.include_usage),
        continuous_usage=bool(options and options.continuous_usage_stats),
    )


def _common(body: Body) -> dict[str, Any]:
    return {
        "stop": _stops(body),
        "stop_token_ids": tuple(body.stop_token_ids or ()),
        "ignore_eos": bool(body.ignore_eos),
        "n": body.n or 1,
        "schema": schema_of(body.response_format),
        "schema_field": schema_field(body.response_format),
    }


def _sampling(body: Body, logprobs: int) -> Sampling:
    return Sampling(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=max(body.top_k or 0, 0),
        min_p=body.min_p or 0.0,
        seed=None if body.seed is None else body.seed & _SEED_MASK,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        repetition_penalty=1.0 if body.repetition_penalty is None else body.repetition_penalty,
        logit_bias=body.logit_bias or {},
        logprobs=logprobs,
        min_tokens=body.min_tokens or 0,
    )


def _stops(body: Body) -> tuple[str, ...]:
    if body.stop is None:
        return ()
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def _message(message: Message) -> Mapping[str, Any]:
    """Templates know `system`, not OpenAI's newer word for it, and text, not parts."""
    role = "system" if message.role == "developer" else message.role
    found: dict[str, Any] = {"role": role, "content": _text(message)}
    if message.name is not None:
        found["name"] = message.name
    if message.tool_call_id is not None:
        found["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        found["tool_calls"] = [_call(call) for call in message.tool_calls]
    return found


def _text(message: Message) -> str:
    content = message.content or ""
    return content if isinstance(content, str) else "".join(part.text for part in content)


def _call(call: ToolCall) -> Mapping[str, Any]:
    """Templates write arguments out themselves, so they get them as an object where they are one."""
    try:
        arguments = msgspec.json.decode(call.function.arguments)
    except msgspec.DecodeError:
        arguments = call.function.arguments
    return {
        "id": call.id,
        "type": call.type,
        "function": {"name": call.function.name, "arguments": arguments},
    }


def _tools(body: ChatBody) -> tuple[Mapping[str, Any], ...]:
    if body.tool_choice == "none":
        return ()
    return tuple(msgspec.to_builtins(tool) for tool in body.tools or ())


def _prompts(body: CompletionBody) -> tuple[Prompt, ...]:
    """One text, one list of token ids, or a list of either."""
    if isinstance(body.prompt, str):
        return (body.prompt,)
    items = body.prompt
    tokens = [item for item in items if isinstance(item, int)]
    if len(tokens) == len(items):
        return (tokens,)
    if tokens:
        raise InvalidRequest("prompt", "a text, a list of token ids, or a list of such; not both in one list")
    prompts = tuple(item for item in items if not isinstance(item, int))
    if (count := len(prompts) * (body.n or 1)) > MOST_CHOICES:
        raise InvalidRequest(
            "prompt", f"{count} answers are asked for; {MOST_CHOICES} are allowed in one request"
        )
    return prompts
