"""Rows of one token over pages filled with noise, for the ways that attention goes."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine.batch import Batch, Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model.attention import Way, attend_rows
from realtime_serve.model.kv import PAGE_TOKENS, Layout, Shape, lay
from realtime_serve.model.step import StepPlan

CPU = torch.device("cpu")
CLOSE = {torch.float32: 1e-5, torch.bfloat16: 0.01, torch.float16: 0.002}
PAGES = 60
BLANK = PAGES
"""And one page more, that takes what counts for nobody."""


def cached(shape: Shape, dtype: torch.dtype, layout: Layout) -> tuple[torch.Tensor, torch.Tensor]:
    return lay(shape, PAGES + 2, dtype, CPU, layout)


def rows_of(spans: list[tuple[int, int]], free: list[int]) -> list[Row]:
    """Tokens [start, end) of a sequence each, with pages of its own."""
    rows = []
    for number, (start, end) in enumerate(spans):
        pages = [free.pop() for _ in range(-(-end // PAGE_TOKENS))]
        sequence = Sequence(number, [1] * end, 9, Sampling(), frozenset(), 1, 0.0, pages=pages)
        rows.append(Row(sequence, start, [1] * (end - start), samples=True))
    return rows


def plan(lengths: list[int], free: list[int], *, ragged: bool = False) -> StepPlan:
    """Rows that decode their last token."""
    rows = rows_of([(length - 1, length) for length in lengths], free)
    return StepPlan(Batch(rows, decoding=len(rows)), blank=BLANK, device=CPU, ragged=ragged)


MODELS = {
    "shared": st.sampled_from([1, 3]),
    "group": st.sampled_from([1, 2, 3, 5]),
    "sizes": st.sampled_from([(16, 16), (24, 8), (7, 7), (64, 64), (20, 72)]),
    "window": st.sampled_from([None, 1, 20]),
    "scaling": st.sampled_from([None, 0.3]),
    "dtype": st.sampled_from(list(CLOSE)),
}
cases = given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=9), **MODELS)
spans = st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda pair: (pair[0], sum(pair)))
prompts = given(spans=st.lists(spans, min_size=1, max_size=6), **MODELS)


def as_torch(way: Way, lengths, shared, group, sizes, window, scaling, dtype) -> None:
    """Fails where a row's answer is not that of torch's attention over the same pages, in float32."""
    noise = torch.Generator().manual_seed(len(lengths))
    random = lambda *shape: torch.randn(shape, generator=noise).to(dtype)  # noqa: E731
    shape = Shape(shared, *sizes)
    step = plan(lengths, torch.randperm(PAGES, generator=noise).tolist(), ragged=way.is_ragged)
    paged, plain = (cached(shape, dtype, layout) for layout in (way.layout, Layout.BY_HEADS))
    for number, size in enumerate(sizes):
        plain[number].copy_(random(shared, PAGES + 2, PAGE_TOKENS, size))
        plain[number][:, BLANK:] = 0
        paged[number].copy_(plain[number])
    new = (random(shared * group, len(lengths), sizes[0]), plain[0], plain[1])
    for rows in step.decoding:
        found = way.decode(rows, new, paged, (scaling, window)).float().flatten(1)
        wide, wide_cache = tuple(one.float() for one in new), tuple(one.float() for one in plain)
        wanted = attend_rows(rows, wide, wide_cache, (scaling, window)).flatten(1)
        assert ((found - wanted).norm(dim=1) <= CLOSE[dtype] * wanted.norm(dim=1)).all()


def same_in_any_company(way: Way) -> None:
    """Fails where a row's sums hang on other rows, to the last bit: a seeded answer hangs on nobody else."""
    cache = cached(Shape(2, 16, 16), torch.float32, way.layout)
    for tensor in cache:
        tensor.copy_(torch.randn(tensor.shape))
    queries = torch.randn(4, 5, 16)
    (many,) = plan([33] * 5, list(range(PAGES)), ragged=way.is_ragged).decoding
    (alone,) = plan([33], list(range(PAGES)), ragged=way.is_ragged).decoding
    together = way.decode(many, (queries, *cache), cache, (None, None))
    single = way.decode(alone, (queries[:, :1], *cache), cache, (None, None))
    assert torch.equal(together[:1], single)
