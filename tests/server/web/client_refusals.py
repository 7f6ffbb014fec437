"""What a user of the openai client is told when something is wrong."""

from __future__ import annotations

import openai
import pytest

from bench.openai_checks.check import Checks
from tests.server.web.client_checks import HELLO, refused

check = Checks()


@check
def an_unknown_field_is_told(client):
    with refused(openai.BadRequestError, "tempersture"):
        client.chat.completions.create(model="chat", messages=HELLO, extra_body={"tempersture": 1})


@check
def a_value_out_of_bounds_is_told(client):
    with refused(openai.BadRequestError, "temperature"):
        client.chat.completions.create(model="chat", messages=HELLO, temperature=3)


@check
def too_long_a_prompt_is_told(client):
    with refused(openai.BadRequestError, None, "context_length_exceeded"):
        client.completions.create(model="chat", prompt="x" * 3000)


@check
def too_long_an_answer_is_told(client):
    with refused(openai.BadRequestError, "max_tokens"):
        client.completions.create(model="chat", prompt="x", max_tokens=5000)


@check
def a_model_that_is_not_here_is_told(client):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt", messages=HELLO)


@check
def an_empty_list_of_messages_is_told(client):
    with refused(openai.BadRequestError, "messages"):
        client.chat.completions.create(model="chat", messages=[])


@check
def an_image_is_refused_by_its_path(client):
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    with refused(openai.BadRequestError, "messages[0].content[0].type"):
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": image}])


@check
def an_error_names_its_request(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model="chat", prompt="")
    assert len(error.value.request_id) == 32


@check
def the_raw_response_has_the_headers(client):
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=HELLO, max_tokens=1)
    assert raw.headers["X-Model-Version"] == "1.0.0"
    assert raw.parse().choices


@check
def a_path_that_is_not_there_is_told(client):
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="chat", input="x")


@check
def a_read_that_takes_too_long_is_the_clients_own_error(client):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.05, max_retries=0).completions.create(
            model="chat", prompt="a", max_tokens=2000, extra_body={"ignore_eos": True}
        )
