"""From a directory with weights to a runner."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.activations import NewGELUActivation

from realtime_serve.engine.messages import Load, ModelCard
from realtime_serve.errors import EngineFailed
from realtime_serve.model import kv
from realtime_serve.model.attention import NAME, SlotAttention
from realtime_serve.model.running import TransformersRunner
from realtime_serve.model.source import fetch

log = logging.getLogger("realtime_serve.model")

PROBE_TOKENS = 2


def load_runner(load: Load, report: Callable[[str], None]) -> TransformersRunner:
    """Fetch, read, check, and make room. Raises EngineFailed with a reason for whatever stands in the way."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    report(f"fetching {load.model}")
    directory = fetch(load.model, load.revision)
    device = pick_device(load.device)
    begin = time.monotonic()
    report(f"reading the weights in {directory}")
    config = read_config(directory)
    attention = SlotAttention()
    AttentionInterface.register(NAME, attention)
    model = read_model(directory, config, pick_dtype(load.dtype, device, config), device)
    length = pick_length(load.max_model_length, config)
    cache = make_cache(model, attention, length=length, fraction=load.kv_fraction)
    card = describe(directory, config, model, cache)
    seconds = round(time.monotonic() - begin, 1)
    log.info(
        "loaded",
        extra={
            "fields": {
                "seconds": seconds,
                "slots": cache.slots,
                "kv_tokens": card.kv_tokens,
                "dtype": card.dtype,
            }
        },
    )
    return TransformersRunner(model=model, attention=attention, cache=cache, card=card)


def pick_device(wanted: str) -> torch.device:
    """Raises EngineFailed when a GPU is asked for and none is there."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EngineFailed("NoGPU", "--device cuda: this machine shows no GPU to torch")
    return torch.device(wanted)


def pick_dtype(wanted: str, device: torch.device, config: Any) -> torch.dtype:
    """`auto`: on a GPU what the checkpoint has; on a CPU bfloat16 where it multiplies in hardware, else float32."""
    if wanted != "auto":
        found: torch.dtype = getattr(torch, wanted)
        return found
    if device.type == "cuda":
        return getattr(config, "dtype", None) or torch.bfloat16
    flags = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), ""
    ).split()
    return torch.bfloat16 if {"amx_bf16", "avx512_bf16"} & set(flags) else torch.float32


def pick_length(wanted: int, config: Any) -> int:
    own = getattr(config.get_text_config(), "max_position_embeddings", None)
    if own is None:
        if not wanted:
            raise EngineFailed(
                "LoadFailed", "the model's configuration gives no maximum length: give --max-model-length"
            )
        return wanted
    return min(wanted, int(own)) if wanted else int(own)


def read_config(directory: Path) -> Any:
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise EngineFailed("LoadFailed", f"{directory}: no usable config.json: {error}") from error
    if getattr(config.get_text_config(), "attn_logit_softcapping", None):
        raise EngineFailed("ModelUnsupported", "attention with soft-capped logits (Gemma 2) is not supported")
    return config


def read_model(directory: Path, config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """In evaluation mode, on the device, in memory of its own. Raises EngineFailed."""
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation=NAME,
        )
    except torch.OutOfMemoryError as error:
        raise EngineFailed("OutOfMemory", f"the weights do not fit into memory: {error}") from error
    except (
        Exception
    ) as error:  # safetensors, transformers and torch each raise their own; all mean the same here
        raise EngineFailed(
            "LoadFailed", f"{directory}: the weights cannot be read: {type(error).__name__}: {error}"
        ) from error
    if not getattr(model, "_supports_attention_backend", False):
        raise EngineFailed(
            "ModelUnsupported",
            f"{type(model).__name__} does not take attention from outside, as continuous batching needs",
        )
    model.eval()
    own_memory(model)
    use_fused_gelu(model)
    return model.to(device)


def own_memory(model: torch.nn.Module) -> None:
    """Weights mapped from the file are slower to multiply with. They keep requires_grad: without it torch copies lm_head."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()


def use_fused_gelu(model: torch.nn.Module) -> None:
    """The same function as one kernel in place of eight."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU(approximate="tanh"))


def make_cache(model: Any, attention: SlotAttention, *, length: int, fraction: float) -> kv.KVCache:
    """Sized from the memory that is free now. Raises EngineFailed."""
    parameter = next(model.parameters())
    shapes = probe(model, attention, parameter.device)
    token_bytes = kv.bytes_per_token(shapes, parameter.dtype)
    slots = kv.count_slots(
        token_bytes=token_bytes, length=length, free=kv.free_memory(parameter.device), fraction=fraction
    )
    return kv.KVCache(
        shapes=shapes, slots=slots, length=length, dtype=parameter.dtype, device=parameter.device
    )


@torch.inference_mode()  # type: ignore[untyped-decorator]
def probe(model: Any, attention: SlotAttention, device: torch.device) -> dict[int, kv.Shape]:
    """The shape of each layer's keys and values, seen in one small forward."""
    attention.seen = {}
    tokens = torch.zeros((1, PROBE_TOKENS), dtype=torch.long, device=device)
    try:
        model(
            input_ids=tokens,
            position_ids=torch.arange(PROBE_TOKENS, device=device)[None],
            use_cache=False,
            logits_to_keep=1,
        )
    except (RuntimeError, TypeError, AttributeError) as error:
        raise EngineFailed("ModelUnsupported", f"{type(model).__name__} does not run: {error}") from error
    if not attention.seen:
        raise EngineFailed(
            "ModelUnsupported", f"{type(model).__name__} does not use the attention it was given"
        )
    return attention.seen


def describe(directory: Path, config: Any, model: Any, cache: kv.KVCache) -> ModelCard:
    parameter = next(model.parameters())
    return ModelCard(
        directory=str(directory),
        vocab_size=int(config.get_text_config().vocab_size),
        eos_ids=eos_ids(directory, config),
        max_model_length=cache.length,
        dtype=str(parameter.dtype).removeprefix("torch."),
        device=str(parameter.device),
        kv_tokens=cache.slots * cache.length,
    )


def eos_ids(directory: Path, config: Any) -> list[int]:
    """Of generation_config.json where there is one, else of the configuration."""
    found = config.eos_token_id
    if (directory / "generation_config.json").is_file():
        found = GenerationConfig.from_pretrained(directory, local_files_only=True).eos_token_id or found
    if found is None:
        return []
    return list(found) if isinstance(found, list) else [int(found)]
