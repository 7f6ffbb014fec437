"""Draws: as likely as the probabilities say, the same for the same seed, inside what top_k and top_p leave."""

from __future__ import annotations

import pytest
import torch

from realtime_serve.engine.batch import Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model import sampler

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -2.0, -30.0])


def row(seed: int = 0, position: int = 5, **sampling) -> Row:
    wanted = Sampling(**sampling)
    sequence = Sequence(1, [1], 9, wanted, frozenset(), 1, 0.0, seed=seed)
    return Row(sequence, position, [1], samples=True)


def draws(logits: torch.Tensor, count: int, **sampling) -> torch.Tensor:
    """How often each token came, over as many seeds."""
    results = sampler.sample(
        logits.expand(count, -1).clone(), [row(seed, **sampling) for seed in range(count)]
    )
    return (
        torch.bincount(torch.tensor([result.token for result in results]), minlength=logits.shape[-1]) / count
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_tokens_come_as_often_as_their_probability_says(temperature):
    assert torch.allclose(
        draws(LOGITS, 5_000, temperature=temperature), (LOGITS / temperature).softmax(-1), atol=0.025
    )


def test_positions_of_one_seed_are_as_good_as_seeds():
    rows = [row(7, position) for position in range(5_000)]
    results = sampler.sample(LOGITS.expand(len(rows), -1).clone(), rows)
    often = torch.bincount(torch.tensor([result.token for result in results]), minlength=6) / len(rows)
    assert torch.allclose(often, LOGITS.softmax(-1), atol=0.025)


def test_temperature_zero_and_almost_zero_take_the_likeliest():
    for temperature in (0.0, 1e-30):
        assert draws(LOGITS, 50, temperature=temperature)[0] == 1.0


def test_top_k_leaves_the_k_likeliest_in_their_proportions():
    often = draws(LOGITS, 5_000, temperature=1.0, top_k=2)
    assert torch.allclose(often[:2], LOGITS[:2].softmax(-1), atol=0.025)
    assert often[2:].sum() == 0


def test_top_p_leaves_the_fewest_that_reach_it():
    probabilities = LOGITS.softmax(-1)
    often = draws(LOGITS, 5_000, temperature=1.0, top_p=float(probabilities[0] + probabilities[1] / 2))
    assert torch.allclose(often[:2], LOGITS[:2].softmax(-1), atol=0.03)
    assert often[2:].sum() == 0
    assert draws(LOGITS, 50, temperature=1.0, top_p=1e-9)[0] == 1.0


def test_top_p_counts_among_what_top_k_left():
    # Of the two likeliest the first has 73 %: so 0.7 leaves it alone, though it has but 64 % of all.
    assert draws(LOGITS, 50, temperature=1.0, top_k=2, top_p=0.7)[0] == 1.0


@pytest.mark.parametrize("top_p", [0.5, 0.9, 0.999])
def test_a_flat_distribution_wider_than_the_candidates_is_not_cut_short(top_p):
    size = 2 * sampler.CANDIDATES * sampler.WIDER
    often = draws(torch.zeros(size), 4_000, temperature=1.0, top_p=top_p)
    kept = int((often > 0).sum())
    assert kept > 0.5 * top_p * size
    assert kept <= top_p * size + 1


def test_a_row_gets_the_same_token_alone_and_in_any_company():
    torch.manual_seed(1)
    logits = 3 * torch.randn(24, 3000)
    kinds = [{}, {"top_k": 40}, {"top_p": 0.8}, {"temperature": 0.0}, {"top_k": 5, "top_p": 0.5}]
    rows = [row(place, **kinds[place % len(kinds)]) for place in range(24)]
    together = sampler.sample(logits, rows)
    alone = [sampler.sample(logits[place : place + 1], rows[place : place + 1])[0] for place in range(24)]
    assert together == alone


def test_a_row_that_is_not_finite_ends_with_an_error_and_no_other_does():
    logits = LOGITS.expand(4, -1).clone()
    logits[1, 3], logits[2, 0] = float("nan"), float("inf")
    rows = [row(temperature=0.0), row(temperature=0.0), row(temperature=1.0), row(temperature=1.0)]
    results = sampler.sample(logits, rows)
    assert [bool(result.error) for result in results] == [False, True, True, False]
    assert "not finite" in results[1].error
