"""Operators in C++ against torch's own kernels, and what compiled layers do with them and without."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from realtime_serve.engine.batch import Batch
from realtime_serve.model import native, paths
from realtime_serve.model.attention import TORCH, PagedAttention
from realtime_serve.model.bags import BAGS
from realtime_serve.model.kv import KVCache, Layout, Shape
from realtime_serve.model.orders import Bfloats, Integers, OneDNN
from realtime_serve.model.paths import native_way, pick_way
from tests.support.driving import Driver
from tests.support.paged import CLOSE, CPU, PAGES, as_torch, cases, prompts, rows_of, same_in_any_company
from tests.support.tiny_models import END, continuation

pytestmark = pytest.mark.slow

PROMPT = list(range(40))


@pytest.fixture(scope="module")
def way():
    return native_way()


@pytest.fixture(autouse=True)
def torch_as_before() -> Iterator[None]:
    yield
    torch.compiler.set_stance("default")


@settings(max_examples=60, deadline=None)
@cases
def test_it_is_attention(way, **case):
    as_torch(way, **case)


def test_a_rows_sums_are_the_same_in_any_company(way):
    same_in_any_company(way)


def test_a_row_whose_pages_are_many_is_attention_too(way):
    as_torch(way, [16 * PAGES], 2, 4, (64, 64), None, None, torch.bfloat16)


@settings(max_examples=60, deadline=None)
@prompts
def test_so_it_is_for_prompts_and_their_chunks(way, spans, shared, group, sizes, window, scaling, dtype):
    noise = torch.Generator().manual_seed(len(spans))
    shape = Shape(shared, *sizes)
    plain, paged = (
        KVCache(shapes={0: shape}, pages=PAGES, dtype=kind, device=CPU, layout=layout)
        for kind, layout in ((torch.float32, Layout.BY_HEADS), (dtype, way.layout))
    )
    for one, other in zip(plain.layer(0), paged.layer(0), strict=True):
        one[:, :PAGES] = torch.randn(one[:, :PAGES].shape, generator=noise).to(dtype)
        other.copy_(one)
    batch = Batch(rows_of(spans, torch.randperm(PAGES, generator=noise).tolist()), decoding=0)
    count = sum(len(row.tokens) for row in batch.rows)
    heads = zip((shared * group, shared, shared), (sizes[0], *sizes), strict=True)
    new = tuple(torch.randn(count, *some, generator=noise).to(dtype).transpose(0, 1) for some in heads)
    found = attended(way, paged, batch, new, (scaling, window))
    wide = tuple(tokens.float() for tokens in new)
    assert torch.equal(attended(way, paged, batch, wide, (scaling, window)), found)
    wanted = attended(TORCH, plain, batch, wide, (scaling, window))
    assert ((found - wanted).norm(dim=1) <= CLOSE[dtype] * wanted.norm(dim=1)).all()
    for one, other in zip(plain.layer(0), paged.layer(0), strict=True):
        assert torch.equal(one, other.float())


def attended(way, cache, batch, new, how) -> torch.Tensor:
    """[tokens, numbers]"""
    attention = PagedAttention(way)
    attention.use(cache)
    attention.begin(batch)
    return attention.attend(0, new, how)[0].float().flatten(1)


def test_a_tokens_sums_are_the_same_in_any_chunk(way):
    shape, pages = Shape(2, 16, 16), list(range(8))
    cache = KVCache(shapes={0: shape}, pages=PAGES, dtype=torch.float32, device=CPU, layout=way.layout)
    new = torch.randn(4, 50, 16), torch.randn(2, 50, 16), torch.randn(2, 50, 16)
    whole = attended(way, cache, Batch(rows_of([(0, 50)], [*pages]), decoding=0), new, (None, None))
    chunks = []
    for start, end in ((0, 1), (1, 8), (8, 11), (11, 49), (49, 50)):
        batch = Batch(rows_of([(start, end)], [*pages]), decoding=0)
        some = tuple(tokens[:, start:end] for tokens in new)
        chunks.append(attended(way, cache, batch, some, (None, None)))
    apart = (torch.cat(chunks) - whole).abs().max()
    assert apart <= (0 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 1e-6)


def test_layers_multiply_as_in_python(way):
    weight, bias, tokens = torch.randn(40, 24), torch.randn(40), torch.randn(1, 5, 24)
    order = OneDNN(weight, bias, torch.float32)
    wanted = order.product(tokens)
    assert order.owned(way.native.calls) is order
    found = way.native.calls.linear(tokens, order.number, 40)
    assert torch.equal(found, wanted)
    assert torch.allclose(found + bias, order.multiply(tokens), atol=1e-6)


def test_what_a_model_leaves_behind_is_forgotten(way):
    order = OneDNN(torch.randn(40, 24), None, torch.float32)
    cache = KVCache(shapes={0: Shape(1, 8, 8)}, pages=2, dtype=torch.float32, device=CPU, layout=way.layout)
    number, tokens, places = order.number, torch.randn(1, 1, 24), torch.zeros(1, dtype=torch.long)
    order.owned(way.native.calls)
    way.native.own_cache(-1, cache)
    way.native.calls.linear(tokens, number, 40)
    way.native.calls.begin_step(-1, places, places, places, places)
    del order, cache
    gc.collect()
    with pytest.raises((IndexError, RuntimeError)):
        way.native.calls.linear(tokens, number, 40)
    with pytest.raises((IndexError, RuntimeError)):
        way.native.calls.begin_step(-1, places, places, places, places)


def says_what_it_should(runner, oracle) -> bool:
    driver = Driver(runner)
    number = driver.add(PROMPT, 20, stop_ids=[END])
    driver.finish()
    return driver.outcomes[number].tokens == continuation(oracle, PROMPT, 20)


def test_compiled_layers_call_it(tiny, load):
    directory, oracle = tiny("llama")
    runner = load(directory, compile=True)
    assert runner.path == "compiled layers over C++ attention"
    assert says_what_it_should(runner, oracle)


def test_layers_are_compiled_without_it_too(tiny, load, monkeypatch, caplog):
    def fails():
        raise OSError("no room for a compiler's files")

    monkeypatch.setattr(native, "calls", fails)
    directory, oracle = tiny("llama")
    runner = load(directory, compile=True)
    assert runner.path == "compiled layers over torch's embedding bags"
    assert "no room for a compiler's files" in str([record.__dict__ for record in caplog.records])
    assert says_what_it_should(runner, oracle)


class WrongAttention(native.NativeAttention):
    def decode(self, rows, new, cached, how):
        return 1.1 * super().decode(rows, new, cached, how)


def wrong(order):
    return type("Wrong", (order,), {"product": lambda self, tokens: 1.1 * order.product(self, tokens)})


@pytest.mark.parametrize(
    ("name", "replacement", "said"),
    [
        ("NativeAttention", WrongAttention, "attention"),
        ("Integers", wrong(Integers), "multiplication by int16"),
        ("Bfloats", wrong(Bfloats), "multiplication by bfloat16"),
    ],
)
def test_it_is_tried_before_it_is_used(monkeypatch, caplog, name, replacement, said):
    monkeypatch.setattr(paths, name, replacement)
    assert pick_way(CPU, 256, compiled=True) is BAGS
    assert f"differ from torch's {said}" in caplog.records[0].fields["reason"]
