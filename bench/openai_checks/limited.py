"""Keys and limits. They need a server with the settings below, so they are tried where the server is our own."""

from __future__ import annotations

import hashlib
from typing import Any

import openai

from bench.openai_checks.check import KEY, CheckFailed, Checks, Subject, equal, holds, refused

check = Checks()

SETTINGS: dict[str, Any] = {
    "generation": 2,
    "rateLimit": {"requestsPerMinute": 60, "burst": 2, "key": "apiKey"},
    "clients": [{"name": "checks", "keySha256": [hashlib.sha256(KEY.encode()).hexdigest()]}],
}


@check
def no_key_is_no_entry(subject: Subject) -> None:
    with refused(openai.AuthenticationError, None, "invalid_api_key"):
        subject.client.with_options(api_key="another").models.list()


@check
def a_clients_key_opens(subject: Subject) -> None:
    holds(subject.client.models.list().data, "nothing is listed")


@check
def an_answer_tells_what_is_left(subject: Subject) -> None:
    raw = subject.client.completions.with_raw_response.create(model=subject.model, prompt="a", max_tokens=1)
    equal(raw.headers["x-ratelimit-limit-requests"], "60")


@check
def beyond_the_limit_the_client_hears_when_to_come_back(subject: Subject) -> None:
    try:
        for _ in range(10):
            subject.say(max_tokens=1)
    except openai.RateLimitError as error:
        equal(error.code, "rate_limit_exceeded")
        holds(1 <= int(error.response.headers["Retry-After"]) <= 120, "Retry-After is out of bounds")
        return
    raise CheckFailed("ten requests went through a limit of two at once")


@check
def the_client_comes_back_by_itself(subject: Subject) -> None:
    patient = subject.client.with_options(max_retries=5)
    taken = [
        patient.completions.with_raw_response.create(
            model=subject.model, prompt="a", max_tokens=1
        ).retries_taken
        for _ in range(3)
    ]
    holds(any(taken), "no request had to be tried again")


@check
async def the_async_client_comes_back_by_itself(subject: Subject) -> None:
    patient = subject.both.with_options(max_retries=5)
    taken = [
        (
            await patient.completions.with_raw_response.create(model=subject.model, prompt="a", max_tokens=1)
        ).retries_taken
        for _ in range(3)
    ]
    holds(any(taken), "no request had to be tried again")
