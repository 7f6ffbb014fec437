"""The oracle is transformers' own generate: greedy tokens are equal, alone, in any company, in chunks and after a preemption."""

from __future__ import annotations

import random

import pytest

from tests.support.driving import Driver
from tests.support.tiny_models import END, FAMILIES, continuation

PROMPTS = [[(7 * number + 3 * place) % 250 for place in range(1 + 5 * number)] for number in range(9)]
COUNT = 40


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_tokens_equal_those_of_generate_in_a_batch_that_changes(tiny, load, family):
    directory, oracle = tiny(family)
    driver = Driver(load(directory), max_batch_size=4, max_batch_tokens=24)
    wanted = {}
    for number, prompt in enumerate(PROMPTS):
        count = COUNT - 4 * (number % 3)
        wanted[driver.add(prompt, count, stop_ids=[END])] = continuation(oracle, prompt, count)
        driver.step()
        driver.step()
    driver.finish()
    assert {number: outcome.tokens for number, outcome in driver.outcomes.items()} == wanted


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral-window"])
def test_sequences_of_very_different_length_keep_their_tokens(tiny, load, family):
    directory, oracle = tiny(family)
    driver = Driver(load(directory), max_batch_size=8)
    prompts = [[5] * 200, [6] * 3, [7] * 4, [8] * 150, [9] * 2, list(range(90))]
    numbers = [driver.add(prompt, 12, stop_ids=[END]) for prompt in prompts]
    driver.finish()
    for number, prompt in zip(numbers, prompts, strict=True):
        assert driver.outcomes[number].tokens == continuation(oracle, prompt, 12)


def test_aborts_and_holds_leave_the_others_tokens_alone(tiny, load):
    directory, oracle = tiny("qwen3")
    driver, chance = Driver(load(directory), max_batch_size=3, max_batch_tokens=16), random.Random(3)
    for prompt in PROMPTS:
        driver.add(prompt, COUNT, stop_ids=[END])
    for _ in range(80):
        number = chance.randrange(len(PROMPTS))
        driver.scheduler.hold(number, held=chance.random() < 0.5)
        if chance.random() < 0.03:
            driver.abort(number)
        driver.step()
    for number in range(len(PROMPTS)):
        driver.scheduler.hold(number, held=False)
    driver.finish()
    for number, prompt in enumerate(PROMPTS):
        wanted = continuation(oracle, prompt, COUNT)
        assert driver.outcomes[number].tokens == wanted[: len(driver.outcomes[number].tokens)]
