"""What is measured: a real small chat model, and GPT-2's shape with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GPT2Config

from hack import model


def chat() -> Path:
    return model.prepare()


def gpt2() -> Path:
    """GPT-2's 124 million parameters, random: speed does not hang on what they say."""
    directory = model.DIRECTORY.with_name("gpt2-shape")
    if not (directory / "model.safetensors").exists():
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(GPT2Config(), dtype=torch.bfloat16).save_pretrained(directory)
    return directory


MODELS = {"SmolLM2-135M-Instruct": chat, "GPT-2 shape (124M, random)": gpt2}
