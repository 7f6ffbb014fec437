"""Blocks first gives what `max` gives, whatever the vocabulary's size and whatever is in it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.model.largest import BLOCK, largest

VALUES = st.sampled_from([-math.inf, -2.5, -1.0, 0.0, 1.0, 3.0, math.inf, math.nan])
SIZES = [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 17]


def same_as_max(logits):
    best, tokens = largest(logits)
    expected = logits.max(dim=-1)
    torch.testing.assert_close(best, expected.values, rtol=0, atol=0, equal_nan=True)
    assert tokens.tolist() == expected.indices.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("vocabulary", SIZES)
def test_rows_by_chance(vocabulary, dtype):
    torch.manual_seed(vocabulary)
    same_as_max(torch.randn(5, vocabulary).to(dtype))


@given(
    vocabulary=st.sampled_from(SIZES),
    common=VALUES,
    odd=st.lists(st.tuples(st.integers(0, 10_000), VALUES), max_size=4),
)
def test_the_first_of_equals_and_nan_before_all(vocabulary, common, odd):
    logits = torch.full((2, vocabulary), common)
    for place, value in odd:
        logits[0, place % vocabulary] = value
    same_as_max(logits)


@pytest.mark.parametrize("place", [0, BLOCK, 2 * BLOCK + 3])
def test_nan_wherever_it_is(place):
    logits = torch.zeros(1, 2 * BLOCK + 40)
    logits[0, place] = math.nan
    logits[0, BLOCK + 1] = math.inf
    same_as_max(logits)


def test_rows_that_lie_apart():
    torch.manual_seed(0)
    same_as_max(torch.randn(6, 2 * BLOCK + 40)[::2])
    same_as_max(torch.randn(4, 900)[:, 100:800])
