"""Prompts that begin in a step find their tokens in it, however they stand, and each other's never."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine.batch import Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model.decoding import Placed
from realtime_serve.model.step import Beginning
from tests.support.paged import CPU


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    gaps=st.lists(st.integers(0, 2), min_size=5, max_size=5),
)
def test_each_token_is_read_and_written_at_its_own_place(counts, gaps):
    rows, first = [], 0
    for number, (count, gap) in enumerate(zip(counts, gaps, strict=False)):
        first += gap  # tokens of other groups
        sequence = Sequence(number, [1] * count, 9, Sampling(), frozenset(), 1, 0.0)
        rows.append(Placed(Row(sequence, 0, [1] * count, samples=True), first))
        first += count
    step = torch.arange(float(first + 1)).view(1, -1, 1).expand(2, -1, 3)  # [heads, tokens, size]
    group = Beginning(rows, CPU)
    found = group.of(step)
    assert found.shape == (len(rows), 2, max(counts), 3)
    for placed, some in zip(rows, found, strict=True):
        count = len(placed.row.tokens)
        assert torch.equal(some[:, :count], step[:, placed.first : placed.first + count])
    output = torch.full((first + 1, 2, 3), -1.0)
    group.write(output, found)
    mine = [place for placed in rows for place in range(placed.first, placed.first + len(placed.row.tokens))]
    assert torch.equal(output[mine], step.transpose(0, 1)[mine])
    others = sorted(set(range(first + 1)) - set(mine))
    assert (output[others] == -1).all()
