"""Operators in C++ against torch's own kernels, and what compiled layers do with them and without."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from realtime_serve.model import native, paths
from realtime_serve.model.bags import BAGS
from realtime_serve.model.kv import KVCache, Layout, Shape
from realtime_serve.model.orders import Halves, OneDNN
from realtime_serve.model.paths import native_way, pick_way
from realtime_serve.model.processor import has_halves
from tests.support.driving import Driver
from tests.support.paged import CPU, PAGES, as_torch, cached, cases, plan, same_in_any_company
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tokens_are_written_to_their_places(way, dtype):
    shape = Shape(3, 24, 20)
    step = plan([1, 17, 40, 16], torch.randperm(PAGES).tolist(), ragged=True)
    found, wanted = (cached(shape, dtype, layout) for layout in (way.layout, Layout.BY_HEADS))
    fresh = torch.randn(4, 3, 44)  # their numbers lie beside each other, their tokens do not
    new = torch.empty(0), fresh[..., :24].transpose(0, 1), fresh[..., 24:].transpose(0, 1)
    way.put(step, new, found)
    for tensor, tokens in zip(wanted, new[1:], strict=True):
        step.put(tensor, tokens)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    assert wanted[0].count_nonzero() == 4 * 3 * 24


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
    way.native.calls.begin_step(-1, places, None, None)
    del order, cache
    gc.collect()
    with pytest.raises((IndexError, RuntimeError)):
        way.native.calls.linear(tokens, number, 40)
    with pytest.raises((IndexError, RuntimeError)):
        way.native.calls.begin_step(-1, places, None, None)


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
