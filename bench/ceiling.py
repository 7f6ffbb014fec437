"""The peer: transformers' own forward over a static batch with its dynamic cache, in a process of its own.

`python -m bench.ceiling MODEL DTYPE BATCH PROMPT TOKENS` prints output tokens a second, prefill included.
"""

from __future__ import annotations

import sys
import time

import torch
from transformers import AutoModelForCausalLM

REPEATS = 2


@torch.inference_mode()  # type: ignore[untyped-decorator]
def generate(model: torch.nn.Module, batch: int, prompt: int, tokens: int) -> float:
    """Seconds for `tokens` greedy tokens of each of `batch` sequences."""
    ids = torch.arange(batch)[:, None] + torch.full((batch, prompt), 100)
    begin, cache = time.monotonic(), None
    for _ in range(tokens):
        output = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        ids = output.logits[:, -1].max(dim=-1).indices[:, None]
        ids.tolist()
    return time.monotonic() - begin


def main() -> None:
    directory, dtype, *numbers = sys.argv[1:]
    batch, prompt, tokens = map(int, numbers)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype)).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # weights mapped from the file are slower to multiply with
    generate(model, batch, prompt, 2)
    best = min(generate(model, batch, prompt, tokens) for _ in range(REPEATS))
    print(batch * tokens / best)


if __name__ == "__main__":
    main()
