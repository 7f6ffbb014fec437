"""Compiled layers say what transformers' own generate says, in any company and with any threads, and nothing is compiled anew for it."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaMLP

from realtime_serve.errors import EngineFailed
from realtime_serve.model import compiling
from tests.support.driving import Driver
from tests.support.tiny_models import END, continuation

pytestmark = pytest.mark.slow

PROMPTS = [[(7 * number + 3 * place) % 250 for place in range(1 + 5 * number)] for number in range(6)]
COUNT = 24


@pytest.fixture(autouse=True)
def torch_as_before():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.compiler.set_stance("default")


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral-window"])
def test_tokens_equal_those_of_generate_in_a_batch_that_changes(tiny, load, family):
    directory, oracle = tiny(family)
    runner = load(directory, compile=True)
    assert runner.compiled
    torch.compiler.set_stance("fail_on_recompile")
    driver, threads = Driver(runner, max_batch_size=4, max_batch_tokens=24), cycle((1, 2))
    wanted = {}
    for prompt in PROMPTS:
        wanted[driver.add(prompt, COUNT, stop_ids=[END])] = continuation(oracle, prompt, COUNT)
        torch.set_num_threads(next(threads))
        driver.step()
    driver.finish()
    assert {number: outcome.tokens for number, outcome in driver.outcomes.items()} == wanted


def test_two_models_in_one_process_keep_their_own_code(tiny, load):
    (first, oracle), (second, other) = tiny("gemma"), tiny("llama")
    runners = [load(first, compile=True), load(second, compile=True)]
    torch.compiler.set_stance("fail_on_recompile")
    for runner, model in zip(runners, (oracle, other), strict=True):
        driver = Driver(runner)
        number = driver.add(PROMPTS[3], COUNT, stop_ids=[END])
        driver.finish()
        assert driver.outcomes[number].tokens == continuation(model, PROMPTS[3], COUNT)


def test_sixteen_bits_are_compiled_too(tiny, load):
    directory, _ = tiny("llama")
    runner = load(directory, compile=True, dtype="bfloat16")
    assert runner.compiled
    assert "compiled layers" in runner.path


def serves_as_before(runner, oracle):
    driver = Driver(runner)
    number = driver.add(PROMPTS[2], COUNT, stop_ids=[END])
    driver.finish()
    assert driver.outcomes[number].tokens == continuation(oracle, PROMPTS[2], COUNT)


def test_layers_that_torch_cannot_compile_stay_as_they_are(tiny, load, monkeypatch, caplog):
    directory, oracle = tiny("llama")
    plain = LlamaMLP.forward

    def broken(self, hidden):
        torch._dynamo.graph_break()
        return plain(self, hidden)

    monkeypatch.setattr(LlamaMLP, "forward", broken)
    runner = load(directory, compile=True)
    assert not runner.compiled
    assert "the layers are not compiled" in caplog.text
    serves_as_before(runner, oracle)


def test_code_that_answers_otherwise_is_not_used(tiny, load, monkeypatch, caplog):
    directory, oracle = tiny("llama")

    def all_the_first(model):
        for module in model.modules():
            if hasattr(module, "layer_idx"):
                module.register_buffer(compiling.LAYER, torch.tensor(0), persistent=False)

    monkeypatch.setattr(compiling, "number_layers", all_the_first)
    runner = load(directory, compile=True)
    assert not runner.compiled
    assert "answer otherwise" in str([record.__dict__ for record in caplog.records])
    serves_as_before(runner, oracle)


def test_without_a_compiler_nothing_is_loaded(tiny, load, monkeypatch):
    directory, _ = tiny("llama")
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(EngineFailed, match="there is no /no/such/compiler; install one") as refused:
        load(directory, compile=True)
    assert refused.value.reason == "NoCompiler"
