"""What a captured step computes beside the model: draws, and where it reads and writes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from realtime_serve.model.kv import PAGE_TOKENS
from realtime_serve.model.sampler import chance
from realtime_serve.model.slots import ADVANCE, PAGES, POSITION, SEED, TEMPERATURE, TOKEN, as_bits, premixed
from realtime_serve.model.static import Buffers, StaticRows, draw_chances

WASTE = 9


@given(
    pairs=st.lists(
        st.tuples(st.integers(-(1 << 63), (1 << 64) - 1), st.integers(0, 1 << 20)), min_size=1, max_size=9
    )
)
@example(pairs=[(0, 0), ((1 << 64) - 1, 1 << 20), (-1, 1)])
def test_a_seed_and_a_position_give_the_same_number_on_the_device(pairs):
    seeds = torch.tensor([premixed(seed) for seed, _ in pairs])
    positions = torch.tensor([position for _, position in pairs])
    assert draw_chances(seeds, positions).tolist() == [chance(seed, position) for seed, position in pairs]


@pytest.fixture
def buffers():
    """Four slots with two pages each."""
    return Buffers([0] * PAGES + [WASTE, 0], most=4, device=torch.device("cpu"))


def fill(buffers: Buffers, place: int, **columns: int) -> None:
    names = {"token": TOKEN, "position": POSITION, "advance": ADVANCE, "seed": SEED, "heat": TEMPERATURE}
    names |= {"first": PAGES, "second": PAGES + 1}
    buffers.patch({place * (PAGES + 2) + names[name]: value for name, value in columns.items()})


def test_each_slot_writes_where_its_position_lies_and_an_empty_one_the_waste(buffers):
    fill(buffers, 1, position=PAGE_TOKENS + 3, advance=1, first=4, second=6, token=11)
    tokens, positions, plan = buffers.inputs(2, blank=8)
    assert tokens.tolist() == [0, 11]
    assert positions.tolist() == [0, PAGE_TOKENS + 3]
    assert plan.writes.tolist() == [WASTE * PAGE_TOKENS, 6 * PAGE_TOKENS + 3]
    assert plan.rows.lengths.tolist() == [1, PAGE_TOKENS + 4]


def test_a_view_shows_each_row_its_window_and_blanks_behind_its_end():
    rows = StaticRows(torch.tensor([[5, 3], [2, 7]]), torch.tensor([4, PAGE_TOKENS + 2]), blank=8)
    view = rows.view(3)
    assert view.pages.tolist() == [5, 8, 2, 7]
    seen = [(mask[0, 0] == 0).nonzero()[:, 0].tolist() for mask in view.mask]
    assert seen == [[1, 2, 3], [PAGE_TOKENS - 1, PAGE_TOKENS, PAGE_TOKENS + 1]]
    assert rows.view(None).mask[1].isfinite().sum() == PAGE_TOKENS + 2
    assert rows.view(3) is view


def test_a_step_goes_on_to_the_likeliest_or_the_drawn_token_and_leaves_empty_slots_where_they_are(buffers):
    fill(buffers, 0, position=2, advance=1)
    fill(buffers, 1, position=5, advance=1, seed=premixed(77), heat=as_bits(0.5))
    fill(buffers, 3, position=6, advance=1)
    logits = torch.tensor([[0.0, 3.0, 1.0], [0.0, 0.2, 0.1], [5.0, 0.0, 0.0], [0.0, float("nan"), 0.0]])
    buffers.advance(logits.clone(), draws=True)
    sums = torch.softmax(logits[1] / 0.5, dim=-1).cumsum(dim=-1)
    drawn = int((sums <= chance(77, 6)).sum())
    assert buffers.chosen([3, 1, 0]) == [-1, drawn, 1]
    tokens, positions, _ = buffers.inputs(4, blank=8)
    assert positions.tolist() == [3, 6, 0, 7]
    assert tokens.tolist()[:3] == [1, drawn, 0]
    assert 0 <= int(tokens[3]) < 3


def test_only_what_changes_is_sent(buffers):
    buffers.patch({})
    assert buffers.sent == 0
    fill(buffers, 2, token=4, position=1)
    assert buffers.sent == 1
    buffers.clear()
    assert (buffers.save() == torch.tensor([0] * PAGES + [WASTE, 0])).all()
