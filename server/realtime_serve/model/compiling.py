"""A model's layers as code made for this processor, by torch.compile.

Between two multiplications a layer computes little, in dozens of small steps: for one row their starts take as long as the
multiplications. Compiled, they are a few loops. Attention and multiplications stay what they are (`operators`), so what changes
with every step is not in the code: it is made once for one token and once for any number, before the model is served.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from realtime_serve.errors import EngineFailed
from realtime_serve.model import operators
from realtime_serve.model.attention import LAYER
from realtime_serve.model.packing import PackedLinear
from realtime_serve.model.proof import difference, probe_tokens, stepwise, tolerance
from realtime_serve.model.running import TransformersRunner

log = logging.getLogger("realtime_serve.model")

COMPILER = "g++"
KEPT_GUARDS = {"SHAPE_ENV", "TENSOR_MATCH"}
OPTIONS = {
    "cpp.dynamic_threads": True,  # their number changes between steps
    "compile_threads": 1,  # else processes that stay
    # What a layer gives is compared with its model's own once, before it is served. Looked at in every layer of every step,
    # shapes took as long as a tenth of a step of one row.
    "size_asserts": False,
    "alignment_asserts": False,
}


class NotCompiled(Exception):
    """The layers are what they were; the message says why."""


def need_compiler() -> None:
    """Raises EngineFailed where torch would find none."""
    wanted = os.environ.get("CXX", COMPILER)
    if shutil.which(wanted) is None:
        raise EngineFailed(
            "NoCompiler",
            f"compiling the layers (--compile on) needs a C++ compiler, and there is no {wanted}; install one, or name it in CXX",
        )


def compile_layers(model: Any, runner: TransformersRunner) -> None:
    """Raises NotCompiled where torch cannot, or where the code answers otherwise than the layers."""
    start = time.monotonic()
    stack = model.base_model
    if stack is model:
        raise NotCompiled(f"{type(model).__name__} has no layers apart from its head")
    number_layers(model)
    calls = operators.calls
    if (native := runner.native) is not None:
        calls = native.calls
        for module in model.modules():
            if isinstance(module, PackedLinear):
                module.order = module.order.owned(calls)
    tokens = probe_tokens(runner)
    wanted = stepwise(runner, tokens)
    try:
        stack.forward = whole_of_any_length(stack.forward)
        with operators.called(calls), one_for_all_layers(model), torch.compiler.set_stance("default"):
            found = stepwise(runner, tokens)
    except Exception as error:  # the compilers of torch and of the system each raise their own
        take_back(stack)
        raise NotCompiled(f"{type(error).__name__}: {error}") from error
    apart = difference(wanted, found)
    if not apart <= tolerance(runner.dtype):
        take_back(stack)
        raise NotCompiled(f"they answer otherwise than the model's own (logits differ by {apart:.0%})")
    # What would have to be made anew while streams wait for it is computed by the layers as they were.
    torch.compiler.set_stance("eager_on_recompile")
    runner.compiled = True
    log.info("compiled", extra={"fields": {"seconds": round(time.monotonic() - start, 1)}})


def whole_of_any_length(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled when it is first called; raises what torch raises."""
    compiled = torch.compile(
        forward, fullgraph=True, isolate_recompiles=True, options={**OPTIONS, "guard_filter_fn": keep_shapes}
    )

    def run(*inputs: Any, **named: Any) -> Any:
        for given in (*inputs, *named.values()):
            if isinstance(given, torch.Tensor):  # tokens and positions, [1, tokens]
                torch._dynamo.maybe_mark_dynamic(given, 1)  # noqa: SLF001  # torch documents it under this name
        return compiled(*inputs, **named)

    return run


def take_back(stack: torch.nn.Module) -> None:
    """Its forward is its class's again."""
    vars(stack).pop("forward", None)


def number_layers(model: torch.nn.Module) -> None:
    """As tensors: a number would become part of the code, and each layer have code of its own."""
    for module in model.modules():
        if isinstance(number := getattr(module, "layer_idx", None), int):
            module.register_buffer(LAYER, torch.tensor(number), persistent=False)


def keep_shapes(guards: Sequence[Any]) -> list[bool]:
    """Whether each is asked at every step: a loaded model changes in nothing but what it is given."""
    return [guard.guard_type in KEPT_GUARDS and not of_module(guard) for guard in guards]


def of_module(guard: Any) -> bool:
    return bool(guard.orig_guard.source.is_unspecialized_nn_module())


@contextmanager
def one_for_all_layers(model: torch.nn.Module) -> Iterator[None]:
    """Layers that are alike are compiled once."""
    from torch._dynamo import config  # noqa: PLC0415  # seconds to import, and torch has no public way

    kinds = {type(module) for module in model.modules() if isinstance(module, GradientCheckpointingLayer)}
    plain = {kind: kind.forward for kind in kinds}
    for kind, forward in plain.items():
        kind.forward = torch.compiler.nested_compile_region(forward)
    try:
        with config.patch(specialize_float=True):  # else a norm's epsilon is looked at as if it could change
            yield
    finally:
        for kind, forward in plain.items():
            kind.forward = forward
