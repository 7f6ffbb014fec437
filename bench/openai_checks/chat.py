"""Chat completions."""

from __future__ import annotations

import json
import time
from typing import Any

import openai
from pydantic import BaseModel

from bench.openai_checks.check import GREEDY, HELLO, CheckFailed, Checks, Subject, equal, holds

check = Checks()

PATIENCE = 30.0  # seconds until the server has let go of a stream that its client closed
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


class Verdict(BaseModel):
    """What is asked for as JSON."""

    good: bool


SCHEMA = {**Verdict.model_json_schema(), "additionalProperties": False}


@check
def a_chat_has_an_answer(subject: Subject) -> None:
    done = subject.chat(**GREEDY)
    equal((done.object, done.choices[0].message.role), ("chat.completion", "assistant"))
    holds(done.choices[0].message.content, "has no text")


@check
def max_completion_tokens_counts(subject: Subject) -> None:
    done = subject.chat(max_completion_tokens=7, extra_body={"ignore_eos": True})
    equal((done.usage.completion_tokens, done.choices[0].finish_reason), (7, "length"))


@check
def a_chat_streams_its_text(subject: Subject) -> None:
    text = "".join(chunk.choices[0].delta.content or "" for chunk in subject.chat(**GREEDY, stream=True))
    equal(text, subject.chat(**GREEDY).choices[0].message.content)


@check
def a_streamed_chat_begins_with_its_role(subject: Subject) -> None:
    first, *_others, last = subject.chat(**GREEDY, stream=True)
    equal((first.choices[0].delta.role, last.choices[0].finish_reason), ("assistant", "length"))
    holds(first.system_fingerprint.startswith("rs-"), "names no version")


@check
def the_streaming_helper_gets_the_whole(subject: Subject) -> None:
    with subject.client.chat.completions.stream(model=subject.model, messages=HELLO, **GREEDY) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
    equal(text, subject.chat(**GREEDY).choices[0].message.content)


@check
def several_chats_stream_side_by_side(subject: Subject) -> None:
    stream = subject.chat(n=2, max_tokens=4, stream=True)
    equal({choice.index for chunk in stream for choice in chunk.choices}, {0, 1})


@check
def chat_logprobs_name_the_likeliest(subject: Subject) -> None:
    content = subject.chat(**GREEDY, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    equal((len(content), {len(token.top_logprobs) for token in content}), (24, {3}))
    equal([token.token for token in content], [token.top_logprobs[0].token for token in content])


@check
def streamed_chat_logprobs_are_complete(subject: Subject) -> None:
    chunks = subject.chat(**GREEDY, logprobs=True, stream=True)
    found = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    equal(sum(len(part.content) for part in found), 24)


@check
def an_answer_can_be_sent_back(subject: Subject) -> None:
    answer = subject.chat(max_tokens=3).choices[0].message
    messages = [*HELLO, answer, {"role": "user", "content": [{"type": "text", "text": "More"}]}]
    holds(subject.chat(messages=messages, max_tokens=3).choices, "no answer")


@check
def the_developers_role_is_taken(subject: Subject) -> None:
    messages = [{"role": "developer", "content": "Be kind."}, *HELLO]
    holds(subject.chat(messages=messages, max_tokens=3).choices, "no answer")


@check
def tools_reach_the_template_or_are_refused_by_their_name(subject: Subject) -> None:
    try:
        holds(subject.chat(tools=[TOOL], max_tokens=3).choices, "no answer")
    except openai.BadRequestError as error:  # a template that knows nothing of tools
        equal(error.param, "tools")


@check
def a_json_object_is_one_or_its_beginning(subject: Subject) -> None:
    done = subject.chat(**asked(subject), response_format={"type": "json_object"}).choices[0]
    text = done.message.content.strip()
    holds(text.startswith("{"), f"begins as {text[:20]!r}")
    if done.finish_reason == "stop":
        equal(type(json.loads(text)), dict)


@check
def an_answer_follows_its_schema(subject: Subject) -> None:
    schema = {"name": "verdict", "schema": SCHEMA, "strict": True}
    done = subject.chat(**asked(subject), response_format={"type": "json_schema", "json_schema": schema})
    equal(list(json.loads(done.choices[0].message.content)), ["good"])


@check
def an_answer_is_parsed_into_a_type(subject: Subject) -> None:
    done = subject.client.chat.completions.parse(
        model=subject.model, messages=HELLO, response_format=Verdict, **asked(subject)
    )
    equal(type(done.choices[0].message.parsed), Verdict)


def asked(subject: Subject) -> dict[str, Any]:
    """How JSON is asked for."""
    return {"temperature": 0, "max_tokens": 100, "logit_bias": subject.json_bias}


@check
def a_stream_that_is_closed_early_ends_at_the_server(subject: Subject) -> None:
    stream = subject.chat(max_tokens=200, stream=True, extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    deadline = time.monotonic() + PATIENCE
    while active(subject):
        if time.monotonic() > deadline:
            raise CheckFailed(f"it still runs after {PATIENCE} s")
        time.sleep(0.05)


def active(subject: Subject) -> int:
    """Generations that run there now."""
    status: Any = subject.client.get(f"{subject.url}/status", cast_to=object)
    return int(status["streams"]["active"])
