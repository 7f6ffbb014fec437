"""The fast ways on a CPU compute what the plain ones do."""

from __future__ import annotations

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from realtime_serve.model import orders
from realtime_serve.model.floor import step_bytes
from realtime_serve.model.orders import Halves, OneDNN, fits, pick_order
from realtime_serve.model.packing import JoinedLinear, PackedLinear, pack, weight_of
from realtime_serve.model.processor import has_halves, has_kernels
from tests.support.driving import Driver
from tests.support.tiny_models import FAMILIES

HALF, NARROW, WIDE = torch.float16, torch.bfloat16, torch.float32
needs_bfloat16 = pytest.mark.skipif(
    not has_kernels(NARROW), reason="oneDNN has no bfloat16 on this processor"
)
needs_halves = pytest.mark.skipif(not has_halves(), reason="FBGEMM does not know this processor")


def one_dnn(weight, bias):
    return OneDNN(weight, bias, weight.dtype)


@needs_bfloat16
@needs_halves
@pytest.mark.parametrize("rows", [0, 1, 3, 32, 700])
@pytest.mark.parametrize(
    ("dtype", "order"), [(NARROW, one_dnn), (NARROW, Halves), (HALF, Halves), (WIDE, one_dnn)]
)
def test_packed_layers_multiply_as_plain_ones(dtype, order, rows):
    torch.manual_seed(1)
    plain = {
        "linear": torch.nn.Linear(96, 40),
        "bare": torch.nn.Linear(96, 33, bias=False),
        "gpt2": Conv1D(40, 96),
    }
    tokens = torch.randn(1, rows, 192).to(dtype)[..., ::2]
    with torch.inference_mode():
        for name, layer in plain.items():
            layer.to(dtype)
            weight = weight_of(layer)
            packed = PackedLinear(order(weight, layer.bias), len(weight))
            wanted = layer.to(WIDE)(tokens.to(WIDE))
            found = packed(tokens)
            assert (found.dtype, found.shape) == (dtype, wanted.shape), name
            difference = (found.to(WIDE) - wanted).norm()
            assert difference <= (1e-5 if dtype == WIDE else 0.01) * wanted.norm(), name


@pytest.mark.parametrize(
    ("dtype", "native", "halves", "kernels", "order"),
    [
        (WIDE, True, True, True, OneDNN),
        (WIDE, True, True, False, type(None)),
        (NARROW, True, True, True, OneDNN),
        (NARROW, True, True, False, type(None)),
        (NARROW, False, True, True, Halves),
        (HALF, False, True, False, Halves),
        (NARROW, False, False, True, OneDNN),
        (HALF, False, False, False, type(None)),
    ],
)
@needs_bfloat16
@needs_halves
def test_the_order_follows_from_the_processor(monkeypatch, dtype, native, halves, kernels, order):
    monkeypatch.setattr(orders, "is_native", lambda _: native)
    monkeypatch.setattr(orders, "has_halves", lambda: halves)
    monkeypatch.setattr(orders, "has_kernels", lambda _: kernels)
    assert type(pick_order(torch.ones(8, 8, dtype=dtype), None)) is order


@pytest.mark.parametrize(
    ("odd", "taken"), [(1.0, True), (1e-9, True), (6e4, True), (7e4, False), (float("nan"), False)]
)
def test_weights_that_float16_cannot_hold_are_not_put_into_it(odd, taken):
    weight = torch.ones(8, 8, dtype=NARROW)
    weight[3, 3] = odd
    assert fits(weight) == taken
    assert not fits(torch.full((8, 8), 1e-9, dtype=NARROW))


@needs_bfloat16
def test_layers_of_one_input_are_multiplied_at_once_and_each_input_anew():
    torch.manual_seed(1)
    module = torch.nn.Module()
    for name, size, bias in (("q_proj", 40, True), ("k_proj", 24, False), ("v_proj", 8, True)):
        module.add_module(name, torch.nn.Linear(96, size, bias=bias, dtype=NARROW))
    plain = dict(module.named_children())
    bytes_before = step_bytes(module)
    pack(module)
    joined = dict(module.named_children())
    assert all(isinstance(layer, JoinedLinear) for layer in joined.values())
    assert step_bytes(module) == bytes_before - 2 * (40 + 8)  # biases are not counted
    with torch.inference_mode():
        one, other = torch.randn(2, 1, 5, 96, dtype=NARROW)
        asked = [("q_proj", one), ("k_proj", one), ("v_proj", one), ("q_proj", one), ("k_proj", other)]
        for name, tokens in [*asked, ("q_proj", other), ("v_proj", one)]:
            found, wanted = (layers[name](tokens).float() for layers in (joined, plain))
            assert (found - wanted).norm() < 0.01 * wanted.norm()


@needs_bfloat16
def test_layers_of_other_sizes_are_not_joined():
    module = torch.nn.Module()
    module.add_module("gate_proj", torch.nn.Linear(96, 8, dtype=NARROW))
    module.add_module("up_proj", torch.nn.Linear(48, 8, dtype=NARROW))
    pack(module)
    assert all(isinstance(layer, PackedLinear) for layer in module.children())


@needs_bfloat16
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_in_bfloat16_every_family_has_nearly_the_logits_of_float32(tiny, load, family):
    """The norm of the error: single tokens may differ where two are as good as equal."""
    directory, oracle = tiny(family)
    driver = Driver(load(directory, dtype="bfloat16"), max_batch_size=4)
    prompts = [[(7 * number + 3 * place) % 250 for place in range(20 + 9 * number)] for number in range(4)]
    numbers = [driver.add(prompt, 6) for prompt in prompts]
    driver.step()
    driver.step()
    driver.step()
    batch = driver.scheduler.schedule(driver.now)
    found = driver.runner.logits(batch).float()
    for row, logits in zip(batch.rows, found, strict=True):
        tokens = row.sequence.prompt + row.sequence.generated
        with torch.inference_mode():
            wanted = oracle(torch.tensor([tokens])).logits[0, -1]
        assert (logits - wanted).norm() / wanted.norm() < 0.1
    assert len(found) == len(numbers)
