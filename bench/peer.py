"""The peers: transformers itself, in a process of its own that the bench wakes for one measurement at a time.

`python -m bench.peer MODEL DTYPE KIND` reads lines of `BATCH PROMPT TOKENS SEED` and answers each with output tokens a second,
prefill included. KIND is `static` (its forward over a batch that begins and ends together, with its dynamic cache: no
scheduler, no paging, no server) or `continuous` (its own continuous batching, in process: no server).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

from bench.in_process import answer, prompts

PATIENCE = 300.0
PAGES = 256
"""Of 256 tokens. Left to itself it takes most of the machine's memory, and two of them are killed."""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def static(model: Any, texts: list[list[int]], tokens: int) -> None:
    ids, cache = torch.tensor(texts), None
    for _ in range(tokens):
        output = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        ids = output.logits[:, -1].max(dim=-1).indices[:, None]
        ids.tolist()


def continuous(model: Any, texts: list[list[int]], tokens: int) -> None:
    manager = started(model)
    for text in texts:
        manager.add_request(text, max_new_tokens=tokens)
    made = [len(manager.get_result(timeout=PATIENCE).generated_tokens) for _ in texts]
    if made != [tokens] * len(texts):
        raise RuntimeError(f"{made} tokens in place of {tokens} for each of {len(texts)}")


@lru_cache(maxsize=1)
def started(model: Any) -> Any:
    """One manager for all measurements, as its server has one."""
    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0),
        continuous_batching_config=ContinuousBatchingConfig(num_blocks=PAGES),
    )
    manager.start()
    return manager


KINDS: dict[str, Callable[[Any, list[list[int]], int], None]] = {"static": static, "continuous": continuous}


def main() -> None:
    directory, dtype, kind = sys.argv[1:]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype)).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # weights mapped from the file are slower to multiply with
    KINDS[kind](model, prompts(2, 8, 0), 2)
    answer(lambda texts, tokens: KINDS[kind](model, texts, tokens))
    os._exit(0)  # its manager's thread would go on


if __name__ == "__main__":
    main()
