"""Weights in bfloat16, in panels, against the same numbers multiplied in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_serve.model import orders
from realtime_serve.model.native import calls
from realtime_serve.model.orders import Bfloats, OneDNN
from realtime_serve.model.processor import has_halves, has_kernels, multiplies_pairs
from tests.support.narrow_vectors import multiply_narrowly

pytestmark = pytest.mark.slow

SUMMED = 1e-5
"""Of the norms' product: sums are made in float32."""
ROUNDED = 2**-8
"""Of an answer, which is a bfloat16."""


def draw(*sizes: int, spread: float = 0, seed: int = 1) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    scale = (spread * torch.randn(sizes, generator=noise)).exp()
    return (torch.randn(sizes, generator=noise) * scale).bfloat16()


def check(weight: torch.Tensor, tokens: torch.Tensor) -> None:
    """weight: [out, in]; tokens: [rows, in]"""
    found = Bfloats(calls(), weight, None).multiply(tokens[None])[0]
    assert (found.dtype, found.shape) == (torch.bfloat16, (len(tokens), len(weight)))
    ones, others = tokens.double(), weight.double()
    wanted = ones @ others.T
    norms = ones.norm(dim=1)[:, None] * others.norm(dim=1)
    assert ((found - wanted).abs() <= SUMMED * norms + ROUNDED * wanted.abs()).all()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.one_of(st.integers(0, 60), st.sampled_from([127, 128, 129, 137, 260])),
    size=st.one_of(st.integers(1, 40), st.sampled_from([255, 256, 257, 513, 1030])),
    out=st.integers(1, 100),
    spread=st.floats(0, 6),
    seed=st.integers(0, 99),
)
def test_they_multiply_as_in_float32_whatever_the_numbers(rows, size, out, spread, seed):
    check(draw(out, size, spread=spread, seed=seed), draw(rows, size, spread=spread, seed=seed + 100))


def test_numbers_that_do_not_lie_beside_each_other_are_taken_in_their_order():
    weight, tokens = draw(40, 300), draw(7, 600, seed=2)
    order = Bfloats(calls(), weight, None)
    assert torch.equal(order.multiply(tokens[:, ::2]), order.multiply(tokens[:, ::2].contiguous()))
    check(draw(300, 40).T, tokens[:, ::2])


def test_zeros_are_zeros_and_a_bias_is_added():
    bias = draw(40)
    assert not Bfloats(calls(), draw(40, 300) * 0, None).multiply(draw(1, 3, 300)).any()
    found = Bfloats(calls(), draw(40, 300), bias).multiply(draw(1, 3, 300) * 0)
    assert (found == bias).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_stays_in_its_row(wrong):
    weight, tokens = draw(40, 301), draw(1, 5, 301)
    order = Bfloats(calls(), weight, None)
    tokens[0, 2, 300] = wrong
    assert (~order.multiply(tokens).isfinite()).all(dim=2).tolist() == [[False, False, True, False, False]]
    weight[7, 150] = wrong
    broken = ~Bfloats(calls(), weight, None).multiply(tokens[:, :2]).isfinite()
    assert broken.any(dim=1).nonzero().tolist() == [[0, 7]]


@pytest.mark.parametrize(("out", "size"), [(64, 5), (45, 513), (96, 1030), (3, 512), (3077, 768)])
def test_a_rows_answer_has_the_same_bits_in_any_company(out, size):
    order = Bfloats(calls(), draw(out, size), None)
    tokens = draw(1, 300, size, seed=2)
    wanted = order.multiply(tokens)
    for count in (*range(1, 18), 28, 33, 57, 64, 127, 128, 129, 256, 257):
        assert torch.equal(order.multiply(tokens[:, :count]), wanted[:, :count])
        assert torch.equal(order.multiply(tokens[:, -count:]), wanted[:, -count:])


@pytest.mark.skipif(not has_kernels(torch.bfloat16), reason="oneDNN has no bfloat16 on this processor")
@pytest.mark.parametrize("pairs", [True, False])
def test_compiled_code_takes_them_where_the_processor_multiplies_pairs(monkeypatch, pairs):
    monkeypatch.setattr(orders, "multiplies_pairs", lambda _: pairs)
    weight, bias, tokens = draw(40, 300), draw(40), draw(1, 3, 300, seed=2)
    before = OneDNN(weight, bias, torch.bfloat16)
    after = before.owned(calls())
    assert type(after) is (Bfloats if pairs else OneDNN)
    assert after.nbytes == 40 * 300 * 2
    found, wanted = after.multiply(tokens).double(), tokens.double() @ weight.double().T + bias.double()
    assert (found - wanted).norm() <= 2 * ROUNDED * wanted.norm()
    if pairs:
        assert torch.equal(after.multiply(tokens), Bfloats(calls(), weight, bias).multiply(tokens))
        assert torch.equal(after.product(tokens) + bias, after.multiply(tokens))


@pytest.mark.parametrize(
    ("dtype", "capabilities", "pairs"),
    [
        (torch.bfloat16, {"avx512_bf16": True, "amx_bf16": False}, True),
        (torch.bfloat16, {"avx512_bf16": True, "amx_bf16": True}, False),
        (torch.bfloat16, {"avx512_bf16": False, "amx_bf16": False}, False),
        (torch.bfloat16, {}, False),
        (torch.float32, {"avx512_bf16": True, "amx_bf16": False}, False),
    ],
)
def test_tiles_are_left_to_onednn(monkeypatch, dtype, capabilities, pairs):
    monkeypatch.setattr("realtime_serve.model.processor.capabilities", lambda: capabilities)
    assert multiplies_pairs(dtype) is pairs


@pytest.mark.skipif(not has_halves(), reason="no vectors of 256 bits on this processor")
def test_processors_without_such_an_instruction_find_nearly_the_same(tmp_path):
    weight, tokens = draw(75, 1031), draw(1, 11, 1031, seed=2)
    found = multiply_narrowly("Bfloats", weight, tokens, tmp_path)
    wanted = tokens.double() @ weight.double().T
    assert (found - wanted).norm() <= ROUNDED * wanted.norm()
