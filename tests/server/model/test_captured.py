"""Captured steps, kept eagerly, against the ordinary path: the same tokens whatever joins, leaves, grows or goes wrong."""

from __future__ import annotations

import random
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from realtime_serve.engine.messages import FinishReason, Sampling
from realtime_serve.model.capture import Eager
from realtime_serve.model.captured import is_plain
from tests.support.driving import GREEDY, Driver
from tests.support.tiny_models import END, FAMILIES

PROMPT = [3, 1, 4, 1, 5]
STORIES = {"llama": 1, "gpt2": 7, "qwen3": 3, "gemma": 4, "mistral-window": 5}
"""One of each family, by its seed."""
SAMPLINGS = [
    GREEDY,
    GREEDY,
    Sampling(temperature=0.9, seed=5),
    Sampling(temperature=1.5, seed=1 << 40),
    Sampling(temperature=1.0, seed=-3),
    Sampling(temperature=1.0, seed=9, top_p=0.8),
    Sampling(temperature=0.0, frequency_penalty=0.4),
    Sampling(temperature=0.0, logprobs=2),
    Sampling(temperature=0.0, min_tokens=3),
]


class WarmedUp(Eager):
    """Runs a step before it keeps it, as a capture does."""

    def __init__(self):
        self.kept = 0

    def record(self, step):
        self.kept += 1
        step()
        step()
        return step


@pytest.fixture
def make(tiny, load):
    """A runner of a family, in 64 bits, so that what a sum's order does to its rounding decides no token."""
    return lambda family, capture: load(tiny(family)[0], dtype="float64", capture=capture)


@contextmanager
def ordinary(runner):
    """The same runner without captured steps: the registry knows attention by name, so there is one runner at a time."""
    runner.captured, kept = None, runner.captured
    yield runner
    runner.captured = kept


def tell_story(driver: Driver, seed: int) -> dict[int, tuple]:
    """Joins, leaves, holds and steps at random; what each one that stayed was answered."""
    chance, left = random.Random(seed), set()
    for _ in range(100):
        if chance.random() < 0.2:
            prompt = [chance.randrange(250) for _ in range(chance.choice((1, 5, 15, 16, 17, 40)))]
            sampling = chance.choice(SAMPLINGS)
            driver.add(prompt, chance.randint(1, 40), sampling=sampling, stop_ids=[END])
        number = chance.randrange(len(driver.outcomes) + 1)
        if chance.random() < 0.05 and number in driver.outcomes:
            driver.abort(number)
            left.add(number)
        if chance.random() < 0.1:
            driver.scheduler.hold(number, held=chance.random() < 0.5)
        driver.step()
    for number in driver.outcomes:
        driver.scheduler.hold(number, held=False)
    driver.finish()
    return {
        number: (outcome.tokens, outcome.finish, outcome.error)
        for number, outcome in driver.outcomes.items()
        if number not in left
    }


@pytest.mark.parametrize(("family", "seed"), [*STORIES.items()])
def test_stories_have_the_same_tokens_by_both_paths(make, family, seed):
    capture = WarmedUp()
    runner = make(family, capture)
    batching = {"pages": 9, "max_batch_size": 6, "max_batch_tokens": 48}
    driver = Driver(runner, **batching)
    found = tell_story(driver, seed)
    with ordinary(runner):
        assert tell_story(Driver(runner, **batching), seed) == found
    # The story has what it is about.
    plain = [is_plain(batch, most=256, longest=256) for batch in driver.batches]
    assert any(row.sequence.preempted for batch in driver.batches for row in batch.rows)
    assert 0.2 < sum(plain) / len(plain) < 0.9
    assert {size for size, _ in runner.captured.kept} >= {1, 2, 4}
    assert capture.kept == len(runner.captured.kept) > 3


@pytest.fixture
def steady(make):
    """A driver whose sequences only decode: what they are is told to the device already."""
    driver = Driver(make("llama", Eager()))
    for number in range(3):
        driver.add([*PROMPT, number], 60, sampling=SAMPLINGS[number])
    driver.step()
    driver.step()
    return driver


class Copies(TorchDispatchMode):
    """Counts tensors that are made from numbers of Python's, or brought to another device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "lift_fresh" in str(function) or "pin_memory" in str(function)
        return function(*args, **(kwargs or {}))


def test_a_steady_decode_sends_nothing_to_the_device_but_new_pages(steady):
    buffers, sent = steady.runner.captured.buffers, []
    for _ in range(20):
        before = buffers.sent
        with Copies() as copies:
            steady.step()
        sent.append(buffers.sent - before)
        assert copies.count == sent[-1]
    # Six tokens of prompt: the 17th opens the second page of all three in one step, and so on.
    assert sent == [0] * 9 + [1] + [0] * 10
    with ordinary(steady.runner), Copies() as copies:
        steady.step()
    assert copies.count > 5


def test_a_row_that_joins_or_leaves_costs_one_copy(steady):
    buffers, before = steady.runner.captured.buffers, steady.runner.captured.buffers.sent
    steady.abort(1)
    steady.step()
    assert buffers.sent == before + 1
    steady.add(PROMPT, 9)
    steady.step()  # the prompt, by the ordinary path
    assert buffers.sent == before + 1
    steady.step()
    assert buffers.sent == before + 2


def test_not_a_number_ends_its_own_row_alone_whoever_gets_its_pages_and_its_slot(make):
    runner = make("llama", Eager())
    prompts = [[number, *PROMPT * 4] for number in range(3)] + [PROMPT]
    with ordinary(runner):
        clean = Driver(runner)
        for prompt in prompts:
            clean.add(prompt, 15)
        clean.finish()
    driver = Driver(runner)
    for prompt in prompts[:3]:
        driver.add(prompt, 15)
    driver.step()
    driver.step()
    pages = driver.scheduler.running[1].pages
    for layer in range(2):
        for cached in runner._cache.layer(layer):
            cached[:, pages] = float("nan")
    driver.step()
    assert driver.outcomes[1].finish == FinishReason.ERROR
    assert "not finite" in driver.outcomes[1].error
    # The next one has one page, then both: they are wiped, the second one before a captured step.
    driver.add(prompts[3], 15)
    driver.finish()
    for number in (0, 2, 3):
        assert driver.outcomes[number].tokens == clean.outcomes[number].tokens
    wiped = [runner.captured.takes(batch) for batch in driver.batches if batch.clean]
    assert wiped == [False, True]


def test_a_step_that_fails_leaves_nothing_behind(make):
    runner = make("llama", Eager())
    driver = Driver(runner)
    for number in range(3):
        driver.add([*PROMPT, number], 20)
    driver.step()
    driver.step()
    batch = driver.scheduler.schedule(1.0)
    model = runner._model
    runner._model = fail
    with pytest.raises(RuntimeError, match="broken"):
        runner.run(batch)
    runner._model = model
    assert (runner.captured.buffers.save() == torch.tensor(runner.captured._slots.empty())).all()
    found = runner.run(batch)  # it was not booked: the same rows are told anew
    with ordinary(runner):
        assert runner.run(batch) == found


def fail(**_):
    raise RuntimeError("broken")


class Impossible:
    def record(self, step):
        step()
        raise RuntimeError("operation not permitted when stream is capturing")


def test_a_model_that_cannot_be_captured_goes_on_by_the_ordinary_path(make, caplog):
    runner = make("llama", Impossible())
    driver = Driver(runner)
    number = driver.add(PROMPT, 8)
    driver.finish()
    with ordinary(runner):
        other = Driver(runner)
        other.add(PROMPT, 8)
        other.finish()
    assert driver.outcomes[number].tokens == other.outcomes[0].tokens
    assert runner.captured is None
    assert [record.message for record in caplog.records].count("steps of this model cannot be captured") == 1


def test_without_a_capture_there_are_no_buffers(load, tiny):
    assert load(tiny("llama")[0]).captured is None


def test_the_path_is_told(make):
    assert make("llama", Eager()).path == "captured steps over torch's attention"


class Forgetful(Eager):
    """A capture that misses what the step does to the buffers: replayed, it never goes on."""

    def record(self, step):
        runs = []

        def once():
            if not runs:
                step()
            runs.append(1)

        return once


def test_captured_steps_that_answer_otherwise_are_found_out_while_loading(make, caplog):
    assert make("llama", Forgetful()).captured is None
    assert "choose other tokens" in caplog.records[-1].fields["reason"]


class Waits(TorchDispatchMode):
    """Collects what a CUDA graph cannot hold: numbers that the host waits for or brings, and shapes that hang on them."""

    FORBIDDEN = (
        "lift_fresh",
        "_local_scalar_dense",
        "nonzero",
        "is_nonzero",
        "masked_select",
        "unique",
        "item",
        "equal.default",
    )

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        boolean = "index.Tensor" in name and any(i is not None and i.dtype == torch.bool for i in args[1])
        if boolean or any(f"aten.{word}" in name for word in self.FORBIDDEN):
            self.found.add(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_step_of_no_family_waits_for_the_device(make, family):
    runner = make(family, Eager())
    with Waits() as waits, torch.inference_mode():
        runner.captured._step(2, draws=True)
    assert waits.found == set()
    with Waits() as waits:
        runner.captured.buffers.chosen([0])
        torch.ones(2)[0].item()
    assert waits.found
