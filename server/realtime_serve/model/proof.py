"""Before a model is served: what it says step by step over our cache is what transformers says in one go.

Families keep state in many ways (sinks, convolutions, biases by distance), and one that this engine does not know would
not fail but answer wrongly. A dozen tokens through both ways show it.
"""

from __future__ import annotations

from typing import Any

import torch

from realtime_serve.engine.batch import Batch, Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.errors import EngineFailed
from realtime_serve.model.attention import NAME
from realtime_serve.model.captured import NotCaptured
from realtime_serve.model.running import TransformersRunner

LENGTH = 12
CAPTURED_ROWS, CAPTURED_STEPS = 3, 3
"""No power of two, so that a captured step computes a row that is none; and steps enough that the device goes on by itself."""
CHUNKS = (5, 4, 1, 1, 1)


def prove(model: Any, runner: TransformersRunner) -> None:
    """Raises EngineFailed when the two ways part."""
    tokens = probe_tokens(runner)
    try:
        wanted, found = whole(model, tokens), stepwise(runner, tokens)
    except (RuntimeError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise EngineFailed("ModelUnsupported", f"{type(model).__name__} does not run: {error}") from error
    apart = difference(wanted, found)
    if not apart <= tolerance(runner.dtype):
        raise EngineFailed(
            "ModelUnsupported",
            f"{type(model).__name__} answers otherwise step by step than in one go (logits differ by {apart:.0%}): "
            "it keeps state that this engine does not know, or its weights are broken",
        )


def tolerance(dtype: torch.dtype) -> float:
    """Of the difference's norm to the logits' own, between two ways to the same; a wrong model is near 1."""
    return 0.01 if dtype == torch.float32 else 0.15


def probe_tokens(runner: TransformersRunner) -> list[int]:
    length = min(LENGTH, runner.card.max_model_length)
    return [(37 * place + 11) % runner.card.vocab_size for place in range(length)]


def difference(wanted: torch.Tensor, found: torch.Tensor) -> float:
    """Of the difference's norm to the wanted's own."""
    return float((wanted - found).norm() / wanted.norm())


@torch.inference_mode()  # type: ignore[untyped-decorator]
def whole(model: Any, tokens: list[int]) -> torch.Tensor:
    """The logits after the last token, by transformers' own attention and without a cache."""
    device = next(model.parameters()).device
    model.set_attn_implementation("sdpa" if getattr(model, "_supports_sdpa", False) else "eager")
    try:
        output = model(input_ids=torch.tensor([tokens], device=device), use_cache=False, logits_to_keep=1)
    finally:
        model.set_attn_implementation(NAME)
    return output.logits[0, -1].float()


def stepwise(runner: TransformersRunner, tokens: list[int]) -> torch.Tensor:
    """The same logits by chunks of a prompt and single tokens, as in service."""
    sequence = Sequence(-1, tokens, 1, Sampling(temperature=0.0), frozenset(), 0, 0.0, pages=[0])
    start, logits = 0, torch.empty(0)
    for count in CHUNKS:
        chunk = tokens[start : start + count]
        if chunk:
            row = Row(sequence, start, chunk, samples=True)
            logits = runner.logits(Batch([row], decoding=int(len(chunk) == 1 and start > 0)))[0]
            start += len(chunk)
    return logits.float()


@torch.inference_mode()  # type: ignore[untyped-decorator]
def prove_captured(runner: TransformersRunner) -> None:
    """Greedy tokens of captured steps are the likeliest by the ordinary path too, or as good as those. Raises NotCaptured, and what torch raises."""
    card = runner.card
    length = min(LENGTH, card.max_model_length - CAPTURED_STEPS)
    if runner.captured is None or length < 2:
        return
    sequences = [
        Sequence(
            -1, [(37 * place + 11 * page) % card.vocab_size for place in range(length)], CAPTURED_STEPS,
            Sampling(temperature=0.0), frozenset(), 0, 0.0, pages=[page],
        )
        for page in range(min(CAPTURED_ROWS, runner.page_count))
    ]  # fmt: skip
    runner.logits(Batch([Row(sequence, 0, sequence.prompt[:-1], samples=True) for sequence in sequences], 0))
    for _ in range(CAPTURED_STEPS):
        last = [sequence.length - 1 for sequence in sequences]
        rows = [Row(s, at, s.tokens_from(at, 1), samples=True) for s, at in zip(sequences, last, strict=True)]
        logits = runner.logits(batch := Batch(rows, decoding=len(rows))).float()
        for sequence, wanted, result in zip(sequences, logits, runner.captured.run(batch), strict=True):
            check_likely(wanted, result.token, tolerance(runner.dtype))
            sequence.append(result.token)


def check_likely(logits: torch.Tensor, token: int, allowed: float) -> None:
    best = logits.max()
    if token < 0 or not best - logits[token] <= allowed * (best - logits.mean()):
        raise NotCaptured("captured steps choose other tokens than those that are computed one by one")
