"""What cannot be served is refused with the reason; what is loaded says what it is."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from realtime_serve.errors import EngineFailed
from realtime_serve.model import kv, loading
from tests.support.driving import Driver
from tests.support.tiny_models import CONTEXT, SHAPE, continuation, reference, write_model
from tests.support.tiny_tokenizers import END, VOCABULARY


@pytest.fixture
def directory(tmp_path):
    return write_model(tmp_path / "model")


def refusal(load, directory, **more) -> tuple[str, str]:
    with pytest.raises(EngineFailed) as caught:
        load(directory, **more)
    return caught.value.reason, str(caught.value)


def save(config, directory):
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    return directory


def test_the_card_says_what_was_loaded(load, directory):
    card = load(directory, max_model_length=100).card
    assert (card.directory, card.vocab_size, card.eos_ids) == (str(directory), VOCABULARY, [END])
    assert (card.max_model_length, card.dtype, card.device) == (100, "float32", "cpu")
    assert card.kv_tokens == 112 * kv.MOST_SEQUENCES, "in whole pages"


def test_a_length_beyond_the_models_own_is_cut_to_it(load, directory):
    assert load(directory, max_model_length=10**6).card.max_model_length == CONTEXT
    assert load(directory).card.max_model_length == CONTEXT


def test_end_tokens_of_the_generation_config_count_all(load, directory):
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 7]}))
    assert load(directory).card.eos_ids == [3, 7]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_types_of_16_bits_run_too(load, directory, dtype):
    runner = load(directory, dtype=dtype)
    assert runner.card.dtype == dtype
    driver = Driver(runner)
    driver.add([1, 2, 3], 5)
    driver.finish()
    assert len(driver.outcomes[0].tokens) == 5


def test_a_directory_without_a_configuration(load, tmp_path):
    assert refusal(load, tmp_path)[0] == "LoadFailed"


def test_weights_cut_short(load, directory):
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert refusal(load, directory)[0] == "LoadFailed"


def test_weights_that_are_not_there_are_not_made_up(load, directory):
    tensors = load_file(directory / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    del tensors[name]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    reason, message = refusal(load, directory)
    assert reason == "LoadFailed"
    assert name in message


def test_weights_full_of_nan(load, directory):
    tensors = load_file(directory / "model.safetensors")
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    reason, message = refusal(load, directory)
    assert reason == "ModelUnsupported"
    assert "weights are broken" in message


def test_pickles_are_not_read(load, directory):
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    assert refusal(load, directory)[0] == "LoadFailed"


def test_a_model_that_takes_no_attention_from_outside(load, tmp_path):
    config = transformers.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4)
    reason, message = refusal(load, save(config, tmp_path))
    assert (reason, "BloomForCausalLM" in message) == ("ModelUnsupported", True)


def test_a_model_that_keeps_state_elsewhere_is_found_out_before_it_answers_wrongly(load, tmp_path):
    config = transformers.Lfm2Config(**SHAPE, layer_types=["conv", "full_attention"])
    reason, message = refusal(load, save(config, tmp_path))
    assert (reason, "step by step" in message) == ("ModelUnsupported", True)


def test_soft_capped_attention(load, tmp_path):
    reason, message = refusal(load, save(transformers.Gemma2Config(**SHAPE, head_dim=8), tmp_path))
    assert (reason, "attn_logit_softcapping" in message) == ("ModelUnsupported", True)


def test_a_gpu_that_is_not_there(load, directory, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refusal(load, directory, device="cuda")[0] == "NoGPU"


def test_no_room_for_the_keys_and_values_of_one_sequence(load, directory):
    reason, message = refusal(load, directory, kv_fraction=1e-9)
    assert (reason, "maxModelLength" in message) == ("OutOfMemory", True)


def test_pages_follow_the_memory_that_is_free():
    assert kv.count_pages(token_bytes=1000, length=2000, free=100_000_000, fraction=0.5) == 3125
    assert kv.count_pages(token_bytes=1, length=1, free=10**12, fraction=0.5) == kv.MOST_SEQUENCES


def test_threads_are_no_more_than_the_cores_that_are_given():
    assert 1 <= loading.count_cores() <= torch.multiprocessing.cpu_count()


def test_a_sequence_that_goes_wrong_leaves_nothing_behind(load, directory):
    """Token 77 makes NaN of all that follows; whoever has its pages next must not see it."""
    oracle = reference(directory)
    runner = load(directory)
    with torch.no_grad():
        runner._model.model.embed_tokens.weight[77] = float("nan")
    driver = Driver(runner)
    healthy = [list(range(10, 60)), [5, 6, 7]]
    broken = driver.add([1] * 100 + [77], 9)
    driver.add(healthy[0], 30, stop_ids=[END])
    driver.finish()
    assert "not finite" in driver.outcomes[broken].error
    again = driver.add(healthy[1], 30, stop_ids=[END])
    longer = driver.add(healthy[0], 30, stop_ids=[END])
    driver.finish()
    assert driver.outcomes[again].tokens == continuation(oracle, healthy[1], 30)
    assert driver.outcomes[longer].tokens == driver.outcomes[1].tokens == continuation(oracle, healthy[0], 30)
