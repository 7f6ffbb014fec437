"""Operators in C++ against torch's own kernels, and what compiled layers do with them and without."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from realtime_serve.engine.batch import Batch
from realtime_serve.model import native, paths
from realtime_serve.model.attention import TORCH, PagedAttention
from realtime_serve.model.bags import BAGS
from realtime_serve.model.kv import KVCache, Layout, Shape
from realtime_serve.model.orders import Halves, OneDNN
from realtime_serve.model.paths import native_way, pick_way
from realtime_serve.model.processor import has_halves
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


def orders() -> list[OneDNN | Halves]:
    weight, bias = torch.randn(40, 24).to(torch.float16).float(), torch.randn(40)
    return [OneDNN(weight, bias, torch.float32), *([Halves(weight, bias)] if has_halves() else [])]


def test_layers_multiply_as_in_python(way):
    tokens = torch.randn(1, 5, 24)
    for order in orders():
        wanted = order.product(tokens)
        way.native.own_layer(order)
        found = way.native.calls.linear(tokens, order.number, 40)
        assert torch.equal(found, wanted)
        assert torch.equal(order.product(tokens), wanted)
        assert torch.allclose(found + order.bias, order.multiply(tokens), atol=1e-6)


@pytest.mark.skipif(not has_halves(), reason="no weight lies in float16 on this processor")
@pytest.mark.parametrize(("out", "size"), [(64, 5), (45, 513), (64, 513), (96, 1030), (3, 512), (3077, 768)])
def test_few_rows_have_the_bits_that_many_have(way, out, size):
    order = Halves(torch.randn(out, size).to(torch.float16).float(), None)
    tokens = torch.randn(1, 70, size)
    wanted = order.product(tokens)
    way.native.own_layer(order)
    for count in (*range(1, 16), 28, 29, 33, 57, 64, 65):
        some = tokens[:, :count]
        assert torch.equal(way.native.calls.linear(some, order.number, out), wanted[:, :count])


def test_what_a_model_leaves_behind_is_forgotten(way):
    order = orders()[0]
    cache = KVCache(shapes={0: Shape(1, 8, 8)}, pages=2, dtype=torch.float32, device=CPU, layout=way.layout)
    number, tokens, places = order.number, torch.randn(1, 1, 24), torch.zeros(1, dtype=torch.long)
    way.native.own_layer(order)
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


def test_where_fbgemms_headers_are_others_the_rest_is_built():
    code = (
        "from realtime_serve.model import native; native.FBGEMM = ('-DUSE_FBGEMM', '-I/nowhere'); "
        "print(native.calls().linear.default)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "realtime_serve_native.linear.default" in ended.stdout
    assert "few rows are multiplied by FBGEMM itself" in ended.stderr


def test_it_is_tried_before_it_is_used(monkeypatch, caplog):
    class Wrong(native.NativeAttention):
        def decode(self, rows, new, cached, how):
            return 1.1 * super().decode(rows, new, cached, how)

    monkeypatch.setattr(paths, "NativeAttention", Wrong)
    assert pick_way(CPU, 256, compiled=True) is BAGS
    assert "differ from torch's attention" in caplog.records[0].fields["reason"]
