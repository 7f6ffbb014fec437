"""Weights and tokens as integers, in blocks with a scale, against the same numbers multiplied in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_serve.model.native import calls
from realtime_serve.model.orders import BLOCK, Halves, Integers
from realtime_serve.model.processor import has_halves
from tests.support.narrow_vectors import multiply_narrowly

pytestmark = pytest.mark.slow

ROUNDED = 1e-3
"""Of the norms' product, over a block: half a step of each of 128 numbers, for token and weight."""


def wide(numbers: torch.Tensor) -> torch.Tensor:
    """[rows, size] → [rows, blocks, BLOCK], in float64"""
    padded = torch.nn.functional.pad(numbers.double(), (0, -numbers.shape[1] % BLOCK))
    return padded.unflatten(1, (-1, BLOCK))


def check(weight: torch.Tensor, tokens: torch.Tensor) -> None:
    """weight: [out, in]; tokens: [rows, in]"""
    found = Integers(calls(), weight, None).multiply(tokens[None])[0]
    ones, others = wide(tokens), wide(weight)
    wanted = torch.einsum("rbn,obn->ro", ones, others)
    norms = torch.einsum("rb,ob->ro", ones.norm(dim=2), others.norm(dim=2))
    assert found.dtype == torch.float32
    assert ((found - wanted).abs() <= ROUNDED * norms).all()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.one_of(st.integers(0, 60), st.sampled_from([127, 128, 129, 137, 260])),
    size=st.one_of(st.integers(1, 40), st.sampled_from([127, 128, 129, 513, 1030])),
    out=st.integers(1, 100),
    spread=st.floats(0, 6),
    seed=st.integers(0, 99),
)
def test_they_multiply_to_a_thousandth_whatever_the_numbers(rows, size, out, spread, seed):
    noise = torch.Generator().manual_seed(seed)

    def draw(*sizes: int) -> torch.Tensor:
        return torch.randn(sizes, generator=noise) * (spread * torch.randn(sizes, generator=noise)).exp()

    check(draw(out, size), draw(rows, size))


@pytest.mark.parametrize("odd", [1e-38, 1e-12, 1e12])
def test_a_number_that_stands_out_takes_nothing_from_other_blocks(odd):
    weight, tokens = torch.randn(40, 512), torch.randn(20, 512)
    weight[:, 100] *= odd
    tokens[:, 300] *= odd
    check(weight, tokens)


def test_numbers_that_do_not_lie_beside_each_other_are_taken_in_their_order():
    check(torch.randn(300, 40).T, torch.randn(7, 600)[:, ::2])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_sum_overflows(sign):
    check(torch.full((40, 300), 3.0), torch.full((20, 300), sign * 7.0))
    alone = torch.zeros(40, 300)
    alone[:, 5] = 3.0
    check(alone, torch.full((20, 300), sign * 7.0))


def test_zeros_are_zeros():
    found = Integers(calls(), torch.zeros(40, 300), None).multiply(torch.randn(1, 3, 300))
    assert not found.any()
    found = Integers(calls(), torch.randn(40, 300), torch.ones(40)).multiply(torch.zeros(1, 3, 300))
    assert (found == 1).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_comes_out_as_none(wrong):
    weight, tokens = torch.randn(40, 300), torch.randn(1, 5, 300)
    order = Integers(calls(), weight, None)
    tokens[0, 2, 299] = wrong
    assert order.multiply(tokens).isnan().all(dim=2).tolist() == [[False, False, True, False, False]]
    weight[7, 150] = wrong
    broken = Integers(calls(), weight, None).multiply(tokens[:, :2])
    assert broken.isnan().any(dim=1).nonzero().tolist() == [[0, 7]]


@pytest.mark.parametrize(("out", "size"), [(64, 5), (45, 513), (96, 1030), (3, 512), (3077, 768)])
def test_a_rows_answer_has_the_same_bits_in_any_company(out, size):
    order = Integers(calls(), torch.randn(out, size), None)
    tokens = torch.randn(1, 300, size)
    wanted = order.multiply(tokens)
    for count in (*range(1, 18), 28, 33, 57, 64, 127, 128, 129, 256, 257):
        assert torch.equal(order.multiply(tokens[:, :count]), wanted[:, :count])
        assert torch.equal(order.multiply(tokens[:, -count:]), wanted[:, -count:])


@pytest.mark.skipif(not has_halves(), reason="no weight lies in float16 on this processor")
def test_weights_in_float16_become_integers_for_compiled_code():
    weight, bias, tokens = torch.randn(40, 300).half().float(), torch.randn(40), torch.randn(1, 3, 300)
    before = Halves(weight, bias)
    after = before.owned(calls())
    assert type(after) is Integers
    assert after.nbytes == 40 * 300 * 2 + 40 * 3 * 4
    assert torch.equal(after.multiply(tokens), Integers(calls(), weight, bias).multiply(tokens))
    assert torch.equal(after.product(tokens) + bias, after.multiply(tokens))
    assert (after.multiply(tokens) - before.multiply(tokens)).norm() < ROUNDED * before.multiply(
        tokens
    ).norm()


@pytest.mark.skipif(not has_halves(), reason="no vectors of 256 bits on this processor")
def test_narrower_vectors_find_the_same_bits(tmp_path):
    weight, tokens = torch.randn(75, 1030), torch.randn(1, 11, 1030)
    found = multiply_narrowly("Integers", weight, tokens, tmp_path)
    assert torch.equal(found, Integers(calls(), weight, None).multiply(tokens))
