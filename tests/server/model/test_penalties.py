"""Requests that change the logits: penalties, biases, tokens that are due first, and what is said of probabilities."""

from __future__ import annotations

import pytest
import torch

from realtime_serve.engine.batch import Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model import sampler

LOGITS = torch.tensor([2.0, 1.0, 0.5, -1.0])


def row(prompt: list[int], answer: list[int], stop_ids: tuple[int, ...] = (), **sampling) -> Row:
    wanted = Sampling(**{"temperature": 0.0, **sampling})
    sequence = Sequence(1, prompt, 99, wanted, frozenset(stop_ids), 1, 0.0, seed=5, generated=answer)
    return Row(sequence, sequence.length - 1, [0], samples=True)


def token(one: Row, logits: torch.Tensor = LOGITS) -> int:
    return sampler.sample(logits[None].clone(), [one])[0].token


def test_presence_counts_once_and_frequency_each_time_and_only_in_the_answer():
    assert token(row([0], [0, 0, 0], presence_penalty=0.9)) == 0
    assert token(row([0], [0, 0, 0], presence_penalty=1.1)) == 1
    assert token(row([0], [0, 0], frequency_penalty=0.4)) == 0
    assert token(row([0], [0, 0, 0], frequency_penalty=0.4)) == 1
    assert token(row([0, 0, 0, 0], [3], frequency_penalty=2.0, presence_penalty=2.0)) == 0
    assert token(row([3], [3], presence_penalty=-4.0)) == 3


def test_repetition_counts_the_prompt_too_and_pushes_negative_logits_down():
    assert token(row([0], [], repetition_penalty=1.9)) == 0
    assert token(row([0], [], repetition_penalty=2.1)) == 1
    negative = torch.tensor([-1.0, -1.5, -9.0])
    assert token(row([0], [], repetition_penalty=2.0), negative) == 1


def test_biases_are_added():
    assert token(row([0], [], logit_bias={3: 3.5})) == 3
    assert token(row([0], [], logit_bias={0: -100.0, 1: -100.0})) == 2


def test_no_stop_id_comes_before_its_time_not_even_one_outside_the_vocabulary():
    assert token(row([1], [2], stop_ids=(0, 900), min_tokens=2)) == 1
    assert token(row([1], [2, 2], stop_ids=(0, 900), min_tokens=2)) == 0


def test_min_p_leaves_those_that_come_near_the_likeliest():
    probabilities = LOGITS.softmax(-1)
    seen = {
        sampler.sample(LOGITS[None].clone(), [row([1] * (1 + n), [], temperature=1.0, min_p=0.3)])[0].token
        for n in range(300)
    }
    assert seen == {place for place in range(4) if probabilities[place] >= 0.3 * probabilities[0]} == {0, 1}


def test_logprobs_are_those_of_the_model_whatever_the_request_does_to_the_logits():
    wanted = LOGITS.log_softmax(-1).tolist()
    rows = [
        row([0], [0], logprobs=0, logit_bias={2: 50.0}),
        row([0], [0], logprobs=2, temperature=0.7, top_k=1),
        row([0], [0]),
        row([0], [0], logprobs=20, presence_penalty=1.5),
    ]
    results = sampler.sample(LOGITS.expand(4, -1).clone(), rows)
    assert [result.token for result in results] == [2, 0, 0, 1]
    assert results[0].logprob.chosen == pytest.approx(wanted[2])
    assert results[0].logprob.top == []
    assert [number for number, _ in results[1].logprob.top] == [0, 1]
    assert results[1].logprob.top[1][1] == pytest.approx(wanted[1])
    assert results[2].logprob is None
    assert [number for number, _ in results[3].logprob.top] == [0, 1, 2, 3]


def test_rows_of_every_kind_get_the_same_token_alone_and_in_any_company():
    torch.manual_seed(2)
    logits = 3 * torch.randn(24, 3000)
    kinds = [
        {},
        {"temperature": 1.0},
        {"temperature": 0.9, "min_p": 0.05, "top_p": 0.9},
        {"repetition_penalty": 1.3},
        {"temperature": 1.4, "presence_penalty": 1.0, "logit_bias": {5: 4.0}},
        {"temperature": 0.8, "top_k": 20, "frequency_penalty": 0.5, "logprobs": 3},
    ]
    rows = [row([place, 7], [place, place], **kinds[place % len(kinds)]) for place in range(24)]
    together = sampler.sample(logits, rows)
    alone = [sampler.sample(logits[place : place + 1], rows[place : place + 1])[0] for place in range(24)]
    assert [result.token for result in together] == [result.token for result in alone]
    assert [result.logprob for result in together] == [result.logprob for result in alone]


def test_the_common_requests_sort_no_vocabulary(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a sort of the vocabulary")

    for name in ("topk", "sort", "argsort", "msort"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
        monkeypatch.setattr(torch, name, refuse)
    rows = [row([1], [2]), row([1], [2], temperature=0.8), row([1], [2], temperature=1.0, min_p=0.1)]
    assert len(sampler.sample(LOGITS.expand(3, -1).clone(), rows)) == 3
