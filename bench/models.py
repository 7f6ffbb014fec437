"""What is measured: a real small chat model, GPT-2's shape with random weights, and one so small that the server's own work shows."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PretrainedConfig

from hack import model

VOCABULARY = 49_152
"""The chat model's, whose tokenizer the others have too."""


def chat() -> Path:
    return model.prepare()


def gpt2() -> Path:
    """GPT-2's 124 million parameters, random: speed does not hang on what they say."""
    return _shape("gpt2-random", GPT2Config(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0))


def tiny() -> Path:
    """A Llama of 4 layers, hidden size 256."""
    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        vocab_size=VOCABULARY,
        max_position_embeddings=2048,
    )
    return _shape("tiny-random", config)


def _shape(name: str, config: PretrainedConfig) -> Path:
    directory = model.DIRECTORY.with_name(name)
    if not (directory / "model.safetensors").exists():
        torch.manual_seed(1)
        made = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        with torch.no_grad():
            made.get_output_embeddings().weight[_without_text()] = 0  # never the largest of so many by chance
        made.save_pretrained(directory)
    return directory


def _without_text() -> list[int]:
    """Tokens that no server shows: an answer of nothing else has no event whose moment could be noted."""
    return [token for token, what in _tokenizer().get_added_tokens_decoder().items() if what.special]


def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(chat() / "tokenizer.json"))


def endless(directory: Path) -> Path:
    """The same model with the chat model's tokenizer and no token that ends an answer, for servers that cannot be asked to go on."""
    place = directory.with_name(f"{directory.name}-endless")
    if place.exists():
        return place
    unfinished = place.with_name(f".{place.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for file in chat().glob("tokenizer*"):
        shutil.copy(file, unfinished)
    (unfinished / "model.safetensors").hardlink_to(directory / "model.safetensors")
    for name in ("config.json", "generation_config.json"):
        content = json.loads((directory / name).read_text())
        (unfinished / name).write_text(json.dumps({**content, "eos_token_id": None}))
    return unfinished.rename(place)


def texts(number: int, tokens: int, seed: int) -> list[str]:
    """Prompts of exactly so many tokens: random words, each of which is one."""
    vocabulary = _tokenizer().get_vocab()
    words = sorted(token[1:] for token in vocabulary if re.fullmatch(r"\u0120[a-z]{3,}", token))
    chance = random.Random(seed)  # noqa: S311  # texts, not keys
    return ["".join(f" {chance.choice(words)}" for _ in range(tokens)) for _ in range(number)]


TINY = "tiny (Llama, hidden 256, 4 layers, random)"
MODELS = {"SmolLM2-135M-Instruct": chat, "GPT-2 shape (124M, random)": gpt2}
