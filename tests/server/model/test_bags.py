"""Sums over bags against torch's attention over the same pages."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings

from realtime_serve.model.bags import BAGS, find_bags
from realtime_serve.model.kv import PAGE_TOKENS, KVCache, Layout, Shape, bytes_per_token, pick_pages
from tests.support.paged import CPU, as_torch, cached, cases, same_in_any_company


@settings(max_examples=60)
@cases
def test_bags_are_attention(**case):
    as_torch(BAGS, **case)


def test_a_rows_sums_are_the_same_in_any_company():
    same_in_any_company(BAGS)


@pytest.mark.parametrize(("pages", "kind"), [(1 << 20, torch.int32), (1 << 22, torch.int64)])
def test_places_that_no_short_number_holds_are_long_ones(pages, kind):
    bags = find_bags(torch.tensor([[pages - 1]]), 1, torch.Size([4, pages, PAGE_TOKENS, 128]))
    assert bags.keys.rows.dtype == bags.values.rows.dtype == kind
    assert int(bags.keys.rows.max()) == 4 * pages * 128 - 1
    assert int(bags.values.rows.max()) == 4 * pages * PAGE_TOKENS - 1


def test_keys_that_lie_wide_are_counted_at_their_own_width():
    shapes = {0: Shape(2, 8, 4), 1: Shape(1, 8, 8)}
    assert bytes_per_token(shapes, torch.bfloat16, Layout.BY_PAGES) == 2 * (16 + 8 + 8 + 8)
    assert bytes_per_token(shapes, torch.bfloat16, Layout.BY_PAGES_WIDE) == 4 * (16 + 8) + 2 * (8 + 8)
    made = KVCache(shapes=shapes, pages=3, dtype=torch.bfloat16, device=CPU, layout=Layout.BY_PAGES_WIDE)
    held = sum(tensor.numel() * tensor.itemsize for layer in shapes for tensor in made.layer(layer))
    assert held == made.token_bytes * PAGE_TOKENS * 5  # the blank one and the waste too


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("heads", [1, 3])
def test_pages_are_picked_from_any_layout(layout, heads):
    wanted = torch.tensor([7, 0, 7, 3])
    for tensor in cached(Shape(heads, 5, 8), torch.float32, layout):
        tensor.copy_(torch.randn(tensor.shape))
        assert torch.equal(pick_pages(tensor, wanted), tensor[:, wanted])
