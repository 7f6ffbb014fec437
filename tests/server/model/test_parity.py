"""The oracle is transformers' own generate: greedy tokens are equal, alone, in any company, in chunks and after a preemption."""

from __future__ import annotations

import random

import pytest

from realtime_serve.engine.messages import Sampling
from tests.support.driving import Driver
from tests.support.tiny_models import END, FAMILIES, continuation

pytestmark = pytest.mark.slow

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


MIXED = [
    {"temperature": 0.0},
    {"temperature": 1.0},
    {"temperature": 1.3, "top_k": 30, "top_p": 0.9},
    {"temperature": 0.9, "min_p": 0.02, "presence_penalty": 0.8, "frequency_penalty": 0.3},
    {"temperature": 0.0, "repetition_penalty": 1.4, "logit_bias": {9: 2.0, 11: -5.0}},
    {"temperature": 1.1, "min_tokens": 20, "logprobs": 3},
]


def outcomes(runner, numbers, *, preempting=False, **batching) -> dict[int, list[int]]:
    driver, chance = Driver(runner, **batching), random.Random(1)
    for number in numbers:
        sampling = Sampling(**MIXED[number % len(MIXED)], seed=number)
        driver.add(PROMPTS[number % len(PROMPTS)], COUNT - number % 7, sampling=sampling, stop_ids=[END])
        driver.step()
    while preempting and driver.scheduler.running and len(driver.batches) < 150:
        driver.scheduler._preempt(chance.choice(list(driver.scheduler.running.values())))
        driver.step()
        driver.step()
    driver.finish()
    return {number: driver.outcomes[place].tokens for place, number in enumerate(numbers)}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_seeded_tokens_are_the_same_alone_in_company_in_chunks_and_after_a_preemption(tiny, load, family):
    numbers, alone = list(range(12)), {}
    runner = load(tiny(family)[0])
    for number in numbers:
        alone |= outcomes(runner, [number])
    assert outcomes(runner, numbers, max_batch_size=16) == alone
    assert outcomes(runner, numbers, max_batch_size=5, max_batch_tokens=7) == alone
    assert outcomes(runner, numbers, max_batch_size=6, preempting=True) == alone


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_tokens_over_shared_pages_equal_those_of_generate(tiny, load, family):
    directory, oracle = tiny(family)
    driver = Driver(load(directory), max_batch_size=4, max_batch_tokens=48)
    beginning = [(11 * place) % 250 for place in range(70)]
    prompts = [beginning, [*beginning, 3, 4], beginning[:33], [*beginning[:64], *range(40)], beginning]
    for prompt in prompts:
        driver.add(prompt, 20, stop_ids=[END])
        driver.step()
    driver.finish()
    assert driver.pages.free == driver.pages.count
    assert any(
        row.start for batch in driver.batches for row in batch.rows if row.sequence.id == len(prompts) - 1
    )
    for number, prompt in enumerate(prompts):
        assert driver.outcomes[number].tokens == continuation(oracle, prompt, 20), number
