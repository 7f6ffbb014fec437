"""Configuration and weights from a directory, checked and laid out for speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.activations import NewGELUActivation

from realtime_serve.errors import EngineFailed
from realtime_serve.model.attention import NAME
from realtime_serve.model.packing import pack

UNSUPPORTED = {
    "attn_logit_softcapping": "attention with soft-capped logits",
    "attention_chunk_size": "attention in chunks",
}
"""What reaches attention by no argument or only shows in long texts, so that `prove` would not see it."""
CLOSE = 0.01
"""Of the difference's norm to the answer's own: the classes round to 16 bits at other places."""


def read_config(directory: Path) -> Any:
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise EngineFailed("LoadFailed", f"{directory}: no usable config.json: {error}") from error
    for name, kind in UNSUPPORTED.items():
        if getattr(config.get_text_config(), name, None):
            raise EngineFailed("ModelUnsupported", f"{kind} is not supported ({name} in config.json)")
    return config


def read_model(directory: Path, config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """In evaluation mode, on the device, in memory of its own. Raises EngineFailed."""
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation=NAME,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors, transformers and torch each raise their own
        raise unreadable(directory, config, error) from error
    check_whole(directory, model, found)
    model.eval()
    try:
        own_memory(model)
        model = model.to(device)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise EngineFailed("OutOfMemory", f"the weights do not fit into memory: {error}") from error
    use_fused_gelu(model)
    use_fused_norms(model)
    pack(model)
    return model


def unreadable(directory: Path, config: Any, error: Exception) -> EngineFailed:
    """What an error while reading the weights means."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return EngineFailed("OutOfMemory", f"the weights do not fit into memory: {error}")
    if isinstance(error, KeyError) and error.args == (NAME,):  # families with attention classes of their own
        return unsupported(str(config.architectures))
    return EngineFailed(
        "LoadFailed", f"{directory}: the weights cannot be read: {type(error).__name__}: {error}"
    )


def unsupported(architecture: str) -> EngineFailed:
    message = f"{architecture} does not take attention from outside, as continuous batching needs"
    return EngineFailed("ModelUnsupported", message)


def check_whole(directory: Path, model: Any, found: Any) -> None:
    """What is missing transformers fills with random numbers, and only warns."""
    if not getattr(model, "_supports_attention_backend", False):
        raise unsupported(type(model).__name__)
    wrong = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]]))
    if wrong:
        names = ", ".join(wrong[:3])
        message = f"{directory}: {len(wrong)} weights are missing or of another shape: {names}"
        raise EngineFailed("LoadFailed", message)


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


def use_fused_norms(model: torch.nn.Module) -> None:
    """The same function as one call in place of seven, for those of the families' classes that compute no other."""
    dtype = next(model.parameters()).dtype
    for module in model.modules():
        for name, child in module.named_children():
            if type(child).__name__.endswith("RMSNorm") and (norm := fused_norm(child, dtype)) is not None:
                setattr(module, name, norm)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def fused_norm(norm: Any, dtype: torch.dtype) -> torch.nn.RMSNorm | None:
    """None where it is not plain: some add 1 to the weight, have none, or keep it in another type than the model's."""
    weight, eps = getattr(norm, "weight", None), getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    if weight is None or weight.dtype != dtype or eps is None:
        return None
    fused = torch.nn.RMSNorm(len(weight), eps, device="meta")
    fused.weight = weight
    noise = torch.randn(4, len(weight), generator=torch.Generator().manual_seed(1)).to(weight)
    wanted, found = norm(noise).float(), fused(noise).float()
    return fused if (found - wanted).norm() <= CLOSE * wanted.norm() else None
