"""The fast ways on a CPU compute what the plain ones do."""

from __future__ import annotations

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from realtime_serve.model import packing
from realtime_serve.model.floor import step_bytes
from realtime_serve.model.packing import JoinedLinear, PackedLinear, Types, pack, pick_types
from realtime_serve.model.processor import has_kernels
from tests.support.driving import Driver
from tests.support.tiny_models import FAMILIES

NARROW, WIDE = torch.bfloat16, torch.float32
MUCH = 1 << 40
needs_bfloat16 = pytest.mark.skipif(
    not has_kernels(NARROW), reason="oneDNN has no bfloat16 on this processor"
)


@needs_bfloat16
@pytest.mark.parametrize("rows", [1, 3, 32, 700])
@pytest.mark.parametrize(
    ("dtype", "types"),
    [
        (NARROW, Types(NARROW, NARROW)),
        (NARROW, Types(NARROW, WIDE)),
        (NARROW, Types(WIDE, WIDE)),
        (torch.float16, Types(WIDE, WIDE)),
        (WIDE, Types(WIDE, WIDE)),
    ],
)
def test_packed_layers_multiply_as_plain_ones(dtype, types, rows):
    torch.manual_seed(1)
    plain = {
        "linear": torch.nn.Linear(96, 40),
        "bare": torch.nn.Linear(96, 33, bias=False),
        "gpt2": Conv1D(40, 96),
    }
    tokens = torch.randn(1, rows, 96).to(dtype)
    with torch.inference_mode():
        for name, layer in plain.items():
            layer.to(dtype)
            packed = PackedLinear(packing.weight_of(layer), layer.bias, types)
            wanted = layer.to(WIDE)(tokens.to(WIDE))
            found = packed(tokens)
            assert found.dtype == dtype, name
            difference = (found.to(WIDE) - wanted).norm() / wanted.norm()
            assert difference < (1e-5 if dtype == WIDE else 0.01), name


@needs_bfloat16
def test_one_row_is_multiplied_by_the_narrow_weights_and_more_by_the_wide():
    layer = torch.nn.Linear(96, 40, dtype=NARROW)
    packed = PackedLinear(layer.weight, layer.bias, Types(NARROW, WIDE))
    asked = []
    packed._one.multiply = lambda tokens: asked.append(("one", tokens.dtype)) or tokens
    packed._more.multiply = lambda tokens: asked.append(("more", tokens.dtype)) or tokens
    for rows in (1, 2):
        packed(torch.zeros(1, rows, 96, dtype=NARROW))
    assert asked == [("one", NARROW), ("more", WIDE)]


@pytest.mark.parametrize(
    ("dtype", "native", "kernels", "free", "types"),
    [
        (WIDE, True, True, 0, Types(WIDE, WIDE)),
        (WIDE, True, False, MUCH, None),
        (NARROW, True, True, MUCH, Types(NARROW, NARROW)),
        (NARROW, True, False, MUCH, None),
        (NARROW, False, True, 200, Types(NARROW, WIDE)),
        (NARROW, False, True, 199, Types(NARROW, NARROW)),
        (NARROW, False, False, 200, Types(WIDE, WIDE)),
        (NARROW, False, False, 199, None),
    ],
)
def test_types_follow_from_the_processor_and_the_room(monkeypatch, dtype, native, kernels, free, types):
    monkeypatch.setattr(packing, "is_native", lambda _: native)
    monkeypatch.setattr(packing, "has_kernels", lambda _: kernels)
    assert pick_types(torch.zeros(1, dtype=dtype), 100, free) == types


@needs_bfloat16
def test_layers_of_one_input_are_multiplied_at_once_and_each_input_anew():
    torch.manual_seed(1)
    module = torch.nn.Module()
    for name, size, bias in (("q_proj", 40, True), ("k_proj", 24, False), ("v_proj", 8, True)):
        module.add_module(name, torch.nn.Linear(96, size, bias=bias, dtype=NARROW))
    plain = dict(module.named_children())
    bytes_before = step_bytes(module)
    pack(module, MUCH)
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
    pack(module, MUCH)
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
