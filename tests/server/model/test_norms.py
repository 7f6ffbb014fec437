"""Norms that are replaced by torch's own: only those that compute the same."""

from __future__ import annotations

import pytest
import torch
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from realtime_serve.model.weights import use_fused_norms

SIZE = 64


def replaced(norm: torch.nn.Module, *, beside: torch.dtype) -> torch.nn.Module:
    """The norm, in a model whose other weights are of this type."""
    torch.nn.init.normal_(norm.weight)
    model = torch.nn.ModuleDict({"linear": torch.nn.Linear(2, 2, dtype=beside), "norm": norm})
    use_fused_norms(model)
    return model["norm"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [LlamaRMSNorm, Qwen3RMSNorm])
@torch.inference_mode()
def test_a_plain_one_is_replaced_and_computes_the_same(kind, dtype):
    norm = kind(SIZE, eps=0.1).to(dtype)
    fused = replaced(norm, beside=dtype)
    assert type(fused) is torch.nn.RMSNorm
    tokens = torch.randn(3, SIZE, dtype=dtype)
    wanted = norm(tokens).float()
    assert fused(tokens).dtype == dtype
    assert (fused(tokens).float() - wanted).norm() < (
        1e-5 if dtype == torch.float32 else 0.01
    ) * wanted.norm()


def test_one_that_adds_to_its_weight_stays():
    assert type(replaced(GemmaRMSNorm(SIZE), beside=torch.float32)) is GemmaRMSNorm


def test_one_of_another_type_than_its_model_stays():
    assert type(replaced(LlamaRMSNorm(SIZE), beside=torch.bfloat16)) is LlamaRMSNorm
