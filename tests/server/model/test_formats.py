"""Answers with a grammar and answers without run in one batch, and neither knows of the other."""

from __future__ import annotations

import json
import random

import jsonschema
import pytest
import torch

from realtime_serve.engine.batch import Row
from realtime_serve.engine.grammar import compile_schema
from realtime_serve.engine.messages import FinishReason, ModelCard, Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model.own_logits import LogitsRunner
from realtime_serve.model.own_tokens import TokenRunner
from realtime_serve.model.sampler import sample
from realtime_serve.model.vocabulary import with_grammars
from realtime_serve.text.tokenizer import load_tokenizer
from tests.support.driving import Driver
from tests.support.tiny_models import CONTEXT, END, VOCABULARY
from tests.support.tiny_tokenizers import NO_GAPS, write_tokenizer

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "rain": {"type": "boolean"}, "wind": {"const": 4}},
    "required": ["city", "rain", "wind"],
    "additionalProperties": False,
}
GRAMMAR = compile_schema(json.dumps(SCHEMA).encode())
KINDS = [
    {"temperature": 0.0},
    {"temperature": 1.3},
    {"temperature": 1.0, "top_p": 0.8},
    {"temperature": 0.9, "top_k": 7, "min_p": 0.01},
    {"temperature": 0.0, "repetition_penalty": 1.3, "presence_penalty": 0.5},
]


def card(directory, **more) -> ModelCard:
    return ModelCard(str(directory), VOCABULARY, [END], CONTEXT, "float32", "cpu", 1024, **more)


def outcomes(runner, numbers, *, preempting=False, **batching) -> dict[int, list[int]]:
    """Every second sequence has the grammar."""
    driver, chance = Driver(runner, **batching), random.Random(2)
    for number in numbers:
        kind = KINDS[number // 2 % len(KINDS)]
        sampling = Sampling(**kind, seed=number, grammar=GRAMMAR if number % 2 else "", logit_bias=NO_GAPS)
        driver.add([number + 1] * (3 + number), 60, sampling=sampling, stop_ids=[END])
        driver.step()
    while preempting and driver.scheduler.running and len(driver.batches) < 60:
        driver.scheduler._preempt(chance.choice(list(driver.scheduler.running.values())))
        driver.step()
        driver.step()
    driver.finish()
    assert all(outcome.finish != FinishReason.ERROR for outcome in driver.outcomes.values())
    return {number: driver.outcomes[place].tokens for place, number in enumerate(numbers)}


def test_tokens_are_the_same_alone_in_mixed_company_and_after_preemptions(tiny, load):
    directory = tiny("llama")[0]
    runner, tokenizer, numbers = load(directory), load_tokenizer(directory), list(range(10))
    alone = {}
    for number in numbers:
        alone |= outcomes(runner, [number])
    assert outcomes(runner, numbers, max_batch_size=16) == alone
    assert outcomes(runner, numbers, max_batch_size=4, max_batch_tokens=9) == alone
    assert outcomes(runner, numbers, max_batch_size=6, preempting=True) == alone
    for number in numbers[1::2]:
        jsonschema.validate(json.loads(tokenizer.decode(alone[number])), SCHEMA)


def test_a_model_of_ones_own_that_gives_logits_follows_the_schema_and_one_that_gives_tokens_says_that_it_cannot(
    tmp_path,
):
    class Noise:
        def logits(self, tokens):
            return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(len(tokens)))

    directory = write_tokenizer(tmp_path)
    driver = Driver(LogitsRunner(Noise(), card(directory)))
    number = driver.add(
        [1], 150, sampling=Sampling(grammar=GRAMMAR, seed=3, logit_bias=NO_GAPS), stop_ids=[END]
    )
    driver.finish()
    text = load_tokenizer(directory).decode(driver.outcomes[number].tokens)
    jsonschema.validate(json.loads(text), SCHEMA)
    assert "chooses its tokens itself" in TokenRunner(Noise(), card(directory)).card.no_grammar


def test_a_model_without_an_end_or_without_a_tokenizer_says_why_it_follows_no_grammar(tmp_path):
    assert "no token that ends" in with_grammars(ModelCard("", 9, [], 9, "float32", "cpu", 9))[0].no_grammar
    (tmp_path / "tokenizer.json").write_text("{}")
    found, grammars = with_grammars(card(tmp_path))
    assert "tokenizer cannot be used" in found.no_grammar
    assert grammars is None


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rows_whose_grammar_leaves_nothing_end_with_an_error_and_no_other_does(tmp_path, temperature):
    _, grammars = with_grammars(card(write_tokenizer(tmp_path)))
    logits = torch.zeros(3, VOCABULARY)
    logits[1] = float("-inf")
    logits[1, 0] = 1.0  # the one token that this model can say opens no JSON
    rows = [row(temperature, ""), row(temperature, GRAMMAR), row(temperature, GRAMMAR)]
    results = sample(logits, rows, grammars)
    assert [bool(result.error) for result in results] == [False, True, False]
    assert "rules out every token" in results[1].error
    rows[2].sequence.generated.append(END)
    broken = sample(logits, rows, grammars)[2]
    assert "cannot go on by its response_format" in broken.error


def row(temperature: float, grammar: str) -> Row:
    sampling = Sampling(temperature=temperature, grammar=grammar)
    return Row(Sequence(1, [1], 9, sampling, frozenset([END]), 1, 0.0, seed=4), 1, [1], samples=True)
