"""What is wrong with a request, told in a way that the client's errors carry."""

from __future__ import annotations

import openai

from bench.openai_checks.check import CheckFailed, Checks, Subject, equal, holds, refused

check = Checks()


@check
def an_unknown_field_is_named(subject: Subject) -> None:
    with refused(openai.BadRequestError, "tempersture", "invalid_value"):
        subject.chat(extra_body={"tempersture": 1})


@check
def a_value_out_of_bounds_is_named(subject: Subject) -> None:
    with refused(openai.BadRequestError, "temperature", "invalid_value"):
        subject.chat(temperature=3)


@check
def a_value_of_another_type_is_named(subject: Subject) -> None:
    with refused(openai.BadRequestError, "max_tokens", "invalid_value"):
        subject.say(max_tokens="many")


@check
def five_stop_strings_are_too_many(subject: Subject) -> None:
    with refused(openai.BadRequestError, "stop", "invalid_value"):
        subject.say(stop=["a", "b", "c", "d", "e"])


@check
def no_messages_are_too_few(subject: Subject) -> None:
    with refused(openai.BadRequestError, "messages", "invalid_value"):
        subject.chat(messages=[])


@check
def an_image_is_refused_by_its_path(subject: Subject) -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    with refused(openai.BadRequestError, "messages[0].content[0].type", "invalid_value"):
        subject.chat(messages=[{"role": "user", "content": image}])


@check
def a_schema_that_cannot_be_kept_is_refused(subject: Subject) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "objekt"}}}
    with refused(openai.BadRequestError, "response_format.json_schema.schema", "invalid_value"):
        subject.chat(response_format=wanted)


@check
def too_long_a_prompt_is_told(subject: Subject) -> None:
    with refused(openai.BadRequestError, None, "context_length_exceeded"):
        subject.say(prompt="hello " * 200_000)


@check
def another_model_is_not_found(subject: Subject) -> None:
    with refused(openai.NotFoundError, None, "model_not_found"):
        subject.client.models.retrieve("gpt-that-is-not-here")


@check
def another_models_answer_is_not_found(subject: Subject) -> None:
    with refused(openai.NotFoundError, None, "model_not_found"):
        subject.chat(model="gpt-that-is-not-here")


@check
def a_path_that_is_not_there_is_told(subject: Subject) -> None:
    with refused(openai.NotFoundError, None, "not_found"):
        subject.client.embeddings.create(model=subject.model, input="x")


@check
def an_error_names_its_request(subject: Subject) -> None:
    try:
        subject.say(prompt="")
    except openai.BadRequestError as error:
        holds(error.request_id, "has no id")
        equal(error.type, "invalid_request_error")
    else:
        raise CheckFailed("an empty prompt was taken")


@check
def a_wait_that_is_too_long_is_the_clients_own_error(subject: Subject) -> None:
    hasty = subject.client.with_options(timeout=0.01, max_retries=0)
    try:
        hasty.completions.create(
            model=subject.model, prompt="a", max_tokens=200, extra_body={"ignore_eos": True}
        )
    except openai.APITimeoutError:
        return
    raise CheckFailed("it was not too long")
