"""Request bodies of the OpenAI API, as types: what does not fit is told with the field's path."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, UnsetType

from realtime_serve.engine.messages import MOST_LOGPROBS
from realtime_serve.errors import InvalidRequest
from realtime_serve.settings.runtime import split_path
from realtime_serve.web.openai.formats import ResponseFormat, schema_of

Stop = Annotated[str, Meta(min_length=1, max_length=256)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TOKENS_BY_ID = Meta(max_length=1024, extra_json_schema={"propertyNames": {"pattern": "^[0-9]{1,10}$"}})
Anything = Any | UnsetType  # the value is looked at by hand (OFF) or not at all

_B = TypeVar("_B", bound="Body")

MOST_CHOICES = 128  # sequences for one request

# Fields that would change the answer in a way this server does not know, and the values that ask for nothing.
OFF: dict[str, tuple[object, ...]] = {
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stream carries besides text."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None  # usage in every chunk, for tools that count
    include_obfuscation: bool | None = None  # OpenAI pads chunks against eavesdroppers; TLS is not ended here


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both kinds of generation take."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None  # 0 and -1: not limited
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=4)] | None = None
    stop_token_ids: Annotated[list[TokenId], Meta(max_length=64)] | None = None
    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Meta(ge=0, le=4_194_304)] | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    logit_bias: Annotated[dict[TokenId, Annotated[float, Meta(ge=-100, le=100)]], TOKENS_BY_ID] | None = None
    response_format: ResponseFormat | None = None

    # For the one who asks; they change no answer.
    user: Anything = msgspec.UNSET
    metadata: Anything = msgspec.UNSET


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a message; text is the only kind."""

    type: Literal["text"]
    text: str


class Function(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model may call."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None  # a JSON schema
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Functions are the only kind."""

    type: Literal["function"]
    function: Function


class FunctionCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model called."""

    name: str
    arguments: str  # JSON


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call in an assistant's message."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chat message. The fields that may only be null are in messages that clients send back as they came."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None  # null only beside tool_calls
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any], Meta(max_length=0)] | None = None


class ChatBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None

    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_LOGPROBS)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Anything = msgspec.UNSET
    functions: Anything = msgspec.UNSET
    function_call: Anything = msgspec.UNSET
    modalities: Anything = msgspec.UNSET
    audio: Anything = msgspec.UNSET
    prediction: Anything = msgspec.UNSET
    web_search_options: Anything = msgspec.UNSET

    parallel_tool_calls: Anything = msgspec.UNSET
    store: Anything = msgspec.UNSET
    service_tier: Anything = msgspec.UNSET
    safety_identifier: Anything = msgspec.UNSET
    prompt_cache_key: Anything = msgspec.UNSET


class CompletionBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/completions."""

    prompt: str | list[str | int | list[int]]
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=MOST_LOGPROBS)] | None = None
    best_of: int | None = None

    suffix: Anything = msgspec.UNSET


_CHAT = msgspec.json.Decoder(ChatBody)
_COMPLETION = msgspec.json.Decoder(CompletionBody)


def decode_chat(content: bytes) -> ChatBody:
    """Read a chat body; InvalidRequest names the field that is wrong."""
    body = _decode(content, _CHAT)
    if body.max_tokens is not None and body.max_completion_tokens not in (None, body.max_tokens):
        raise InvalidRequest("max_tokens", "differs from max_completion_tokens; send one of them")
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequest("top_logprobs", "only with logprobs: true")
    for number, message in enumerate(body.messages):
        if message.content is None and not (message.role == "assistant" and message.tool_calls):
            raise InvalidRequest(f"messages[{number}].content", "required, but missing")
    return body


def decode_completion(content: bytes) -> CompletionBody:
    """Read a completion body; InvalidRequest names the field that is wrong."""
    body = _decode(content, _COMPLETION)
    if body.best_of not in (None, body.n or 1):
        raise InvalidRequest("best_of", "not supported by this server; only the value of n is")
    if body.echo and body.logprobs is not None:
        raise InvalidRequest("echo", "not with logprobs: this server computes none of the prompt")
    return body


def _decode(content: bytes, decoder: msgspec.json.Decoder[_B]) -> _B:
    try:
        body = decoder.decode(content)
    except msgspec.ValidationError as error:
        raise InvalidRequest(*split_path(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest("", f"the body is no JSON: {error}") from error
    except RecursionError as error:
        raise InvalidRequest("", "the body is nested too deeply") from error
    _refuse_what_is_not_known(body)
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("stream_options", "only with stream: true")
    if schema_of(body.response_format):
        _refuse_beside_a_grammar(body)
    return body


def _refuse_beside_a_grammar(body: Body) -> None:
    """An answer ends where its JSON does."""
    for field in ("ignore_eos", "min_tokens"):
        if getattr(body, field):
            raise InvalidRequest(field, "not with a response_format of JSON")


def _refuse_what_is_not_known(body: Body) -> None:
    for field in body.__struct_fields__:
        if (neutral := OFF.get(field)) is None:
            continue
        value = getattr(body, field)
        if value is not msgspec.UNSET and value is not None and value not in neutral:
            allowed = " or ".join(msgspec.json.encode(choice).decode() for choice in neutral) or "null"
            raise InvalidRequest(field, f"not supported by this server; only {allowed} is")
