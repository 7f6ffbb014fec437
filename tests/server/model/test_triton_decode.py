"""The Triton kernels, run by Triton's interpreter, against torch's attention over the same pages; and compiled for GPUs."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from realtime_serve.model.kv import PAGE_TOKENS
from realtime_serve.model.triton_decode import PART, attend_pages, part_tokens
from tests.support import triton_compiling

TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Of the difference's norm to the answer's own."""


@dataclass(frozen=True)
class Case:
    lengths: list[int]
    heads: int = 2
    group: int = 1
    size: int = 32
    value_size: int = 0
    window: int | None = None
    dtype: torch.dtype = torch.float32
    spare_pages: int = 0
    """Columns of the table behind the longest row's last page."""
    scaling: float | None = None


def shuffled(case: Case):
    """Queries, a cache whose pages belong to the rows in random order, and the table. What no row may see is NaN."""
    chance = random.Random(1)
    counts = [-(-length // PAGE_TOKENS) for length in case.lengths]
    pages = chance.sample(range(sum(counts) + 3), sum(counts))
    noise = torch.Generator().manual_seed(2)
    shape = (case.heads, sum(counts) + 3, PAGE_TOKENS)
    keys, values = (
        torch.full((*shape, size), float("nan"), dtype=case.dtype)
        for size in (case.size, case.value_size or case.size)
    )
    table = torch.full((len(counts), max(counts) + case.spare_pages), -1, dtype=torch.int32)
    for row, (length, count) in enumerate(zip(case.lengths, counts, strict=True)):
        own, pages = pages[:count], pages[count:]
        table[row, :count] = torch.tensor(own)
        for position in range(max(0, length - (case.window or length)), length):
            place = own[position // PAGE_TOKENS], position % PAGE_TOKENS
            for cached in (keys, values):
                cached[:, *place] = torch.randn(case.heads, cached.shape[-1], generator=noise).to(case.dtype)
    # As transformers makes them: heads of one token lie behind each other.
    queries = torch.randn(len(counts), case.heads * case.group, case.size, generator=noise).to(case.dtype)
    return queries, keys, values, table


def by_torch(case: Case, queries, keys, values, table) -> torch.Tensor:
    rows = []
    for row, length in enumerate(case.lengths):
        first = max(0, length - (case.window or length))
        pages = table[row, : -(-length // PAGE_TOKENS)].long()
        key, value = (cached[:, pages].flatten(1, 2)[:, first:length].float() for cached in (keys, values))
        query = queries[row].float()[:, None]
        rows.append(
            scaled_dot_product_attention(query, key, value, scale=case.scaling, enable_gqa=True)[:, 0]
        )
    return torch.stack(rows)


def check(case: Case, part: int = PART) -> None:
    tensors = shuffled(case)
    lengths = torch.tensor(case.lengths, dtype=torch.int32)
    found = attend_pages(*tensors, lengths, (case.scaling, case.window), part=part)
    wanted = by_torch(case, *tensors)
    assert (found.dtype, found.shape) == (case.dtype, wanted.shape)
    assert float((found.float() - wanted).norm() / wanted.norm()) < TOLERANCE[case.dtype]


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("size", [32, 64, 96, 128])
def test_heads_of_every_size_in_every_type(size, dtype):
    check(Case([5, 33], heads=1, size=size, dtype=dtype, group=2))


@pytest.mark.parametrize("group", [1, 4, 8, 20])
def test_heads_that_share_keys(group):
    check(Case([40, 7], group=group))


def test_values_of_another_size_than_keys_and_a_scaling_of_the_models_own():
    check(Case([21, 3], size=48, value_size=20, scaling=0.3))


@pytest.mark.parametrize("window", [None, 300, 24, 1])
def test_rows_of_very_different_length_in_several_parts(window):
    check(Case([1, 2 * PART + 37, 15, PART, PART + 1, 16], window=window))


def test_a_table_wider_than_any_row():
    check(Case([17, 2], spare_pages=40))


def test_a_row_of_one_token_alone_gets_that_tokens_value():
    case = Case([1], heads=3)
    queries, keys, values, table = shuffled(case)
    found = attend_pages(queries, keys, values, table, torch.tensor([1]), (None, None))
    assert torch.equal(found[0], values[:, table[0, 0], 0])


def test_a_row_gets_the_same_numbers_alone_as_in_company():
    case = Case([PART + 9, 3, 2 * PART], heads=1)
    queries, keys, values, table = shuffled(case)
    together = attend_pages(queries, keys, values, table, torch.tensor(case.lengths), (None, None))
    alone = attend_pages(queries[:1], keys, values, table[:1], torch.tensor(case.lengths[:1]), (None, None))
    assert torch.equal(together[0], alone[0])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, of what the test is about
def test_not_a_number_in_one_row_stays_in_it():
    case = Case([20, 20], heads=1)
    queries, keys, values, table = shuffled(case)
    queries[0, 0, 0] = float("nan")
    found = attend_pages(queries, keys, values, table, torch.tensor(case.lengths), (None, None))
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@settings(max_examples=25)
@given(
    case=st.builds(
        Case,
        lengths=st.lists(st.integers(1, 70), min_size=1, max_size=3),
        heads=st.integers(1, 2),
        group=st.integers(1, 3),
        size=st.sampled_from([8, 16, 24, 40]),
        value_size=st.sampled_from([0, 8, 20]),
        window=st.none() | st.integers(1, 80),
        dtype=st.sampled_from(list(TOLERANCE)),
        spare_pages=st.integers(0, 3),
        scaling=st.none() | st.floats(0.1, 1.0),
    ),
    part=st.sampled_from([64, 128, PART]),
)
def test_any_shape(case, part):
    check(case, part)


@given(longest=st.integers(1, 200_000))
def test_parts_are_whole_tiles_and_sixteen_at_most(longest):
    part = part_tokens(longest)
    assert part % PART == 0
    assert -(-longest // part) <= 16


def test_the_kernels_compile_for_gpus(tmp_path):
    # In a process of its own: in this one Triton interprets.
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, triton_compiling.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sm_80", "sm_90"]
