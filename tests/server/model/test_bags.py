"""Sums over bags against torch's attention over the same pages."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_serve.engine.batch import Batch, Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model.attention import attend_rows
from realtime_serve.model.bags import attend_bags, find_bags
from realtime_serve.model.kv import PAGE_TOKENS, KVCache, Shape, bytes_per_token, pick_pages
from realtime_serve.model.step import StepPlan

CPU = torch.device("cpu")
CLOSE = {torch.float32: 1e-5, torch.bfloat16: 0.01, torch.float16: 0.002}


def cached(
    shape: Shape, pages: int, dtype: torch.dtype, *, by_pages: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    made = KVCache(shapes={0: shape}, pages=pages, dtype=dtype, device=CPU, by_pages=by_pages)
    return made.layer(0)


def plan(lengths: list[int], free: list[int]) -> StepPlan:
    """Rows that decode their last token, each with pages of its own."""
    rows = []
    for number, length in enumerate(lengths):
        pages = [free.pop() for _ in range(-(-length // PAGE_TOKENS))]
        sequence = Sequence(number, [1] * length, 9, Sampling(), frozenset(), 1, 0.0, pages=pages)
        rows.append(Row(sequence, length - 1, [1], samples=True))
    return StepPlan(Batch(rows, decoding=len(rows)), blank=60, device=CPU)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=9),
    shared=st.sampled_from([1, 3]),
    group=st.sampled_from([1, 2, 5]),
    sizes=st.sampled_from([(16, 16), (24, 8), (7, 7)]),
    window=st.sampled_from([None, 1, 20]),
    scaling=st.sampled_from([None, 0.3]),
    dtype=st.sampled_from(list(CLOSE)),
)
def test_bags_are_attention(lengths, shared, group, sizes, window, scaling, dtype):
    noise = torch.Generator().manual_seed(len(lengths))
    random = lambda *shape: torch.randn(shape, generator=noise).to(dtype)  # noqa: E731
    shape = Shape(shared, *sizes)
    step = plan(lengths, torch.randperm(60, generator=noise).tolist())
    paged, plain = (cached(shape, 60, dtype, by_pages=kind) for kind in (True, False))
    for number, size in enumerate(sizes):
        plain[number].copy_(random(shared, 62, PAGE_TOKENS, size))
        plain[number][:, 60:] = 0
        paged[number].copy_(plain[number])
    new = (random(shared * group, len(lengths), sizes[0]), plain[0], plain[1])
    for rows in step.decoding:
        found, wanted = (
            decode(rows, tensors, cache, (scaling, window)).float().flatten(1)
            for decode, tensors, cache in (
                (attend_bags, new, paged),
                (attend_rows, tuple(one.float() for one in new), tuple(one.float() for one in plain)),
            )
        )
        assert ((found - wanted).norm(dim=1) <= CLOSE[dtype] * wanted.norm(dim=1)).all()


def test_a_rows_sums_are_the_same_in_any_company():
    """To the last bit: a seeded answer hangs on nobody else."""
    shape = Shape(2, 16, 16)
    cache = cached(shape, 60, torch.float32, by_pages=True)
    for tensor in cache:
        tensor.copy_(torch.randn(tensor.shape))
    queries = torch.randn(4, 5, 16)
    (many,) = plan([33] * 5, list(range(60))).decoding
    (alone,) = plan([33], list(range(60))).decoding
    together = attend_bags(many, (queries, *cache), cache, (None, None))
    single = attend_bags(alone, (queries[:, :1], *cache), cache, (None, None))
    assert torch.equal(together[0], single[0])


@pytest.mark.parametrize(("pages", "kind"), [(1 << 20, torch.int32), (1 << 22, torch.int64)])
def test_places_that_no_short_number_holds_are_long_ones(pages, kind):
    bags = find_bags(torch.tensor([[pages - 1]]), 1, torch.Size([4, pages, PAGE_TOKENS, 128]))
    assert bags.keys.rows.dtype == bags.values.rows.dtype == kind
    assert int(bags.keys.rows.max()) == 4 * pages * 128 - 1
    assert int(bags.values.rows.max()) == 4 * pages * PAGE_TOKENS - 1


def test_keys_that_lie_by_pages_are_counted_at_their_own_width():
    shapes = {0: Shape(2, 8, 4), 1: Shape(1, 8, 8)}
    assert bytes_per_token(shapes, torch.bfloat16) == 2 * (16 + 8 + 8 + 8)
    assert bytes_per_token(shapes, torch.bfloat16, by_pages=True) == 4 * (16 + 8) + 2 * (8 + 8)
    made = KVCache(shapes=shapes, pages=3, dtype=torch.bfloat16, device=CPU, by_pages=True)
    held = sum(tensor.numel() * tensor.itemsize for layer in shapes for tensor in made.layer(layer))
    assert held == made.token_bytes * PAGE_TOKENS * 5  # the blank one and the waste too


@pytest.mark.parametrize("by_pages", [True, False])
@pytest.mark.parametrize("heads", [1, 3])
def test_pages_are_picked_from_either_layout(by_pages, heads):
    wanted = torch.tensor([7, 0, 7, 3])
    for tensor in cached(Shape(heads, 5, 8), 9, torch.float32, by_pages=by_pages):
        tensor.copy_(torch.randn(tensor.shape))
        assert torch.equal(pick_pages(tensor, wanted), tensor[:, wanted])
