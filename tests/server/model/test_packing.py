"""The fast ways on a CPU compute what the plain ones do."""

from __future__ import annotations

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from realtime_serve.model.floor import step_bytes
from realtime_serve.model.packing import JoinedLinear, PackedLinear, pack, packable
from tests.support.driving import Driver
from tests.support.tiny_models import FAMILIES

needs_bfloat16 = pytest.mark.skipif(
    not packable(torch.zeros(1, dtype=torch.bfloat16)), reason="oneDNN has no bfloat16 on this processor"
)


@needs_bfloat16
@pytest.mark.parametrize("rows", [1, 3, 32, 700])
def test_packed_layers_multiply_as_plain_ones(rows):
    torch.manual_seed(1)
    plain = torch.nn.ModuleDict(
        {
            "linear": torch.nn.Linear(96, 40),
            "bare": torch.nn.Linear(96, 33, bias=False),
            "gpt2": Conv1D(40, 96),
        }
    ).to(torch.bfloat16)
    tokens = torch.randn(1, rows, 96, dtype=torch.bfloat16)
    with torch.inference_mode():
        wanted = {name: layer(tokens).float() for name, layer in plain.items()}
        pack(plain)
        for name, layer in plain.items():
            assert isinstance(layer, PackedLinear)
            difference = (layer(tokens).float() - wanted[name]).norm() / wanted[name].norm()
            assert difference < 0.01, name


@needs_bfloat16
def test_layers_of_one_input_are_multiplied_at_once_and_each_input_anew():
    torch.manual_seed(1)
    module = torch.nn.Module()
    for name, size, bias in (("q_proj", 40, True), ("k_proj", 24, False), ("v_proj", 8, True)):
        module.add_module(name, torch.nn.Linear(96, size, bias=bias, dtype=torch.bfloat16))
    plain = dict(module.named_children())
    bytes_before = step_bytes(module)
    pack(module)
    joined = dict(module.named_children())
    assert all(isinstance(layer, JoinedLinear) for layer in joined.values())
    assert step_bytes(module) == bytes_before - 2 * (40 + 8)  # biases are not counted
    with torch.inference_mode():
        one, other = torch.randn(2, 1, 5, 96, dtype=torch.bfloat16)
        asked = [("q_proj", one), ("k_proj", one), ("v_proj", one), ("q_proj", one), ("k_proj", other)]
        for name, tokens in [*asked, ("q_proj", other), ("v_proj", one)]:
            found, wanted = (layers[name](tokens).float() for layers in (joined, plain))
            assert (found - wanted).norm() < 0.01 * wanted.norm()


@needs_bfloat16
def test_layers_of_other_sizes_are_not_joined():
    module = torch.nn.Module()
    module.add_module("gate_proj", torch.nn.Linear(96, 8, dtype=torch.bfloat16))
    module.add_module("up_proj", torch.nn.Linear(48, 8, dtype=torch.bfloat16))
    pack(module)
    assert all(isinstance(layer, PackedLinear) for layer in module.children())


def test_layers_in_float32_stay_as_they_are():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    pack(model)
    assert type(model[0]) is torch.nn.Linear


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
