"""Random requests of every kind at once, against each of them alone. `pytest --number 10000` makes it a campaign."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from realtime_serve.engine.messages import FinishReason, Sampling
from tests.support.driving import Driver, Outcome
from tests.support.tiny_models import END, VOCABULARY

WAVE = 100
"""Requests that are there together."""
BEGINNINGS = [[(step * place) % 250 for place in range(70)] for step in (7, 11, 13)]
KINDS = {
    "temperature": (0.0, 0.0, 0.7, 1.0, 1.6),
    "top_p": (1.0, 1.0, 0.9, 0.5),
    "top_k": (0, 0, 1, 40),
    "min_p": (0.0, 0.0, 0.05),
    "presence_penalty": (0.0, 0.0, 0.9, -0.5),
    "frequency_penalty": (0.0, 0.0, 0.4),
    "repetition_penalty": (1.0, 1.0, 1.3),
    "logit_bias": ({}, {}, {5: 4.0, 9: -100.0}),
    "logprobs": (-1, -1, 0, 3),
    "min_tokens": (0, 0, 4),
}


@dataclass(frozen=True)
class Asked:
    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    stop_ids: list[int]
    priority: int


def ask(chance: random.Random) -> Asked:
    beginning = chance.choice(BEGINNINGS)[: chance.choice((0, 0, 16, 40, 70))]
    own = [chance.randrange(250) for _ in range(chance.randint(1, 30))]
    kinds = {name: chance.choice(values) for name, values in KINDS.items()}
    return Asked(
        prompt=beginning + own,
        max_tokens=chance.randint(1, 14),
        sampling=Sampling(**kinds, seed=chance.randrange(1 << 40)),
        stop_ids=[END, *chance.sample(range(VOCABULARY), chance.choice((0, 20)))],
        priority=chance.randrange(3),
    )


def add(driver: Driver, asked: Asked) -> int:
    more = {"sampling": asked.sampling, "stop_ids": asked.stop_ids, "priority": asked.priority}
    return driver.add(asked.prompt, asked.max_tokens, **more)


def alone(runner, asked: Asked) -> Outcome:
    driver = Driver(runner)
    number = add(driver, asked)
    driver.finish()
    return driver.outcomes[number]


def together(runner, wave: list[Asked], chance: random.Random) -> list[Outcome]:
    """In batches and chunks of some size, short of pages, with others that leave at any moment and are no part of the answer."""
    size, tokens, pages = chance.choice(((8, 24, 30), (32, 64, 60), (64, 4096, 400)))
    driver = Driver(runner, pages=pages, max_batch_size=size, max_batch_tokens=tokens)
    numbers, leaving = [], []
    for asked in wave:
        numbers.append(add(driver, asked))
        if chance.random() < 0.2:
            leaving.append(add(driver, ask(chance)))
        if leaving and chance.random() < 0.3:
            driver.abort(leaving.pop(chance.randrange(len(leaving))))
        if chance.random() < 0.5:
            driver.step()
    for number in leaving:
        driver.abort(number)
    driver.finish()
    assert (driver.pages.held, driver.pages.free) == (0, pages)
    return [driver.outcomes[number] for number in numbers]


def test_every_greedy_or_seeded_request_gets_the_tokens_that_it_gets_alone(tiny, load, request):
    # In 64 bits, so that what a product's shape does to its rounding decides no token.
    number, runner = request.config.getoption("--number"), load(tiny("llama")[0], dtype="float64")
    chance, ended = random.Random(request.config.getoption("--seed")), set()
    for first in range(0, number, WAVE):
        wave = [ask(chance) for _ in range(min(WAVE, number - first))]
        for place, (asked, here) in enumerate(zip(wave, together(runner, wave, chance), strict=True)):
            there = alone(runner, asked)
            assert (here.tokens, here.finish) == (there.tokens, there.finish), (first + place, asked)
            assert here.chosen == pytest.approx(there.chosen, abs=1e-4)
            assert len(here.chosen) == (len(here.tokens) if asked.sampling.logprobs >= 0 else 0)
            ended.add(here.finish)
    assert ended == {FinishReason.STOP, FinishReason.LENGTH}
