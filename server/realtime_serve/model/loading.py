"""From a directory with weights to a runner."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AttentionInterface, GenerationConfig

from realtime_serve.engine.messages import Load, ModelCard
from realtime_serve.errors import EngineFailed
from realtime_serve.model import kv
from realtime_serve.model.attention import NAME, TORCH, PagedAttention
from realtime_serve.model.capture import Capture
from realtime_serve.model.captured import NotCaptured
from realtime_serve.model.compiling import NotCompiled, compile_layers, need_compiler
from realtime_serve.model.crew import Crew
from realtime_serve.model.memory import free_memory
from realtime_serve.model.native import begin_to_build
from realtime_serve.model.paths import pick_capture, pick_way
from realtime_serve.model.processor import is_native, is_x86
from realtime_serve.model.proof import prove, prove_captured
from realtime_serve.model.running import TransformersRunner
from realtime_serve.model.vocabulary import with_grammars
from realtime_serve.model.weights import read_config, read_model

log = logging.getLogger("realtime_serve.model")

PROBE_TOKENS = 2


def load_runner(
    load: Load, report: Callable[[str], None], *, capture: Capture | None = None
) -> TransformersRunner:
    """Read a directory, check, and make room. Raises EngineFailed with a reason for whatever stands in the way.

    capture: how decode steps are kept, where it is not to be as the device has it.
    """
    crew = Crew(count_cores())
    directory = Path(load.model)
    device = pick_device(load.device)
    if load.compile and device.type == "cpu":
        need_compiler()
        begin_to_build()  # beside the weights, which are read meanwhile
    begin = time.monotonic()
    report(f"reading the weights in {directory}")
    config = read_config(directory)
    attention = PagedAttention(TORCH)
    AttentionInterface.register(NAME, attention)
    model = read_model(directory, config, pick_dtype(load.dtype, device, config), device)
    length = pick_length(load.max_model_length, config)
    if device.type != "cpu" or capture is None:  # what is captured has one shape, bags grow with the rows
        attention.way = pick_way(device, length, compiled=load.compile)
    cache = make_cache(model, attention, length=length, fraction=load.kv_fraction)
    card, grammars = with_grammars(describe(directory, config, model, cache, length))
    seconds = round(time.monotonic() - begin, 1)
    log.info(
        "loaded",
        extra={
            "fields": {
                "seconds": seconds,
                "kv_mib": round(cache.pages * kv.PAGE_TOKENS * cache.token_bytes / 2**20),
                "kv_tokens": card.kv_tokens,
                "dtype": card.dtype,
            }
        },
    )
    runner = TransformersRunner(
        model=model,
        attention=attention,
        cache=cache,
        card=card,
        grammars=grammars,
        capture=capture or pick_capture(device, attention.way),
        crew=crew if device.type == "cpu" else None,
    )
    prove(model, runner)
    try:
        prove_captured(runner)
    except (NotCaptured, RuntimeError) as reason:
        runner.give_up_capture(reason)
    if load.compile:
        compile_for(device, model, runner, report)
    return runner


def compile_for(
    device: torch.device, model: Any, runner: TransformersRunner, report: Callable[[str], None]
) -> None:
    """Make code of the layers where it can be; else a line in the log says why they stay as they are."""
    if device.type != "cpu":
        log.warning("--compile on: a GPU's steps are captured instead")
        return
    report("compiling the layers for this processor")
    try:
        compile_layers(model, runner)
    except NotCompiled as reason:
        log.warning("the layers are not compiled", extra={"fields": {"reason": str(reason)}})


def count_cores() -> int:
    """Cores that this process may use; more threads than that make each other wait."""
    cores = len(os.sched_getaffinity(0))
    limit = Path("/sys/fs/cgroup/cpu.max")
    quota, _, period = limit.read_text().partition(" ") if limit.is_file() else ("max", "", "")
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


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
    return torch.bfloat16 if is_x86() and is_native(torch.bfloat16) else torch.float32


def pick_length(wanted: int, config: Any) -> int:
    own = getattr(config.get_text_config(), "max_position_embeddings", None)
    if own is None:
        if not wanted:
            raise EngineFailed(
                "LoadFailed", "the model's configuration gives no maximum length: give --max-model-length"
            )
        return wanted
    return min(wanted, int(own)) if wanted else int(own)


def make_cache(model: Any, attention: PagedAttention, *, length: int, fraction: float) -> kv.KVCache:
    """Sized from the memory that is free now. Raises EngineFailed."""
    parameter = next(model.parameters())
    shapes = probe(model, attention, parameter.device)
    layout = attention.way.layout
    token_bytes = kv.bytes_per_token(shapes, parameter.dtype, layout)
    pages = kv.count_pages(
        token_bytes=token_bytes, length=length, free=free_memory(parameter.device), fraction=fraction
    )
    return kv.KVCache(
        shapes=shapes, pages=pages, dtype=parameter.dtype, device=parameter.device, layout=layout
    )


@torch.inference_mode()  # type: ignore[untyped-decorator]
def probe(model: Any, attention: PagedAttention, device: torch.device) -> dict[int, kv.Shape]:
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


def describe(directory: Path, config: Any, model: Any, cache: kv.KVCache, length: int) -> ModelCard:
    parameter = next(model.parameters())
    return ModelCard(
        directory=str(directory),
        vocab_size=int(config.get_text_config().vocab_size),
        eos_ids=eos_ids(directory, config),
        max_model_length=length,
        dtype=str(parameter.dtype).removeprefix("torch."),
        device=str(parameter.device),
        kv_tokens=cache.pages * kv.PAGE_TOKENS,
    )


def eos_ids(directory: Path, config: Any) -> list[int]:
    """Of generation_config.json where there is one, else of the configuration."""
    found = config.eos_token_id
    if (directory / "generation_config.json").is_file():
        found = GenerationConfig.from_pretrained(directory, local_files_only=True).eos_token_id or found
    if found is None:
        return []
    return list(found) if isinstance(found, list) else [int(found)]
