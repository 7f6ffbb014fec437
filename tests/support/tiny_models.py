"""Small random models of several families, on disk, with a tokenizer; made in a moment, and the same at every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.support.tiny_tokenizers import END, VOCABULARY, write_tokenizer

CONTEXT = 256
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    # Wide weights: with the usual ones a random model says one token for ever, whatever its cache holds.
    "initializer_range": 0.3,
    "bos_token_id": VOCABULARY - 4,
    "eos_token_id": END,
    "pad_token_id": None,
}


def _gpt2() -> Any:
    return transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.3,
        bos_token_id=VOCABULARY - 4,
        eos_token_id=END,
        pad_token_id=None,
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "gemma": lambda: transformers.GemmaConfig(**SHAPE, head_dim=8),
    "gpt2": _gpt2,
    "llama": lambda: transformers.LlamaConfig(**SHAPE),
    "llama-tied": lambda: transformers.LlamaConfig(**SHAPE, tie_word_embeddings=True),
    "mistral": lambda: transformers.MistralConfig(**SHAPE, sliding_window=None),
    "mistral-window": lambda: transformers.MistralConfig(**SHAPE, sliding_window=24),
    "olmo2": lambda: transformers.Olmo2Config(**SHAPE),
    "phi3": lambda: transformers.Phi3Config(**SHAPE),
    "qwen2": lambda: transformers.Qwen2Config(**SHAPE),
    "qwen3": lambda: transformers.Qwen3Config(**SHAPE, head_dim=16),
    "gpt-neox": lambda: transformers.GPTNeoXConfig(
        **{key: value for key, value in SHAPE.items() if key != "num_key_value_heads"}
    ),
}


def write_model(directory: Path, family: str = "llama", *, seed: int = 7, **changes: Any) -> Path:
    """Weights, configuration and tokenizer of a random model; `changes` go into the configuration."""
    config = FAMILIES[family]()
    for name, value in changes.items():
        setattr(config, name, value)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory)
    return write_tokenizer(directory)


def reference(directory: Path) -> Any:
    """The model as transformers itself runs it, in float32: the oracle."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="sdpa"
    )
    return model.eval()


def continuation(model: Any, prompt: list[int], count: int) -> list[int]:
    """What the oracle says next, greedily, one prompt alone, its end token included."""
    tokens = torch.tensor([prompt])
    with torch.inference_mode():
        output = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),  # else it takes token 0 for padding
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=END,
        )
    made: list[int] = output[0, len(prompt) :].tolist()
    return made
