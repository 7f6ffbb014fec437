"""From logits to the next token of each row."""

from __future__ import annotations

import torch

from realtime_serve.engine.batch import Result, Row

MASK64 = (1 << 64) - 1


def sample(logits: torch.Tensor, rows: list[Row]) -> list[Result]:
    """[rows, vocabulary] → a result for each row. A row whose logits are not finite gets an error, and no other does."""
    # max() and not argmax(): several times faster over bf16 on CPU.
    best, greedy = logits.max(dim=-1)
    finite = torch.isfinite(best).tolist()
    tokens = greedy.tolist()
    for i, row in enumerate(rows):
        if finite[i] and row.sampling.temperature > 0:
            tokens[i] = draw(logits[i], row)
    return [
        Result(token) if ok else Result(error="the model's output is not finite (NaN or infinity)")
        for token, ok in zip(tokens, finite, strict=True)
    ]


def draw(logits: torch.Tensor, row: Row) -> int:
    """One token by an exponential race: the largest p / e, e ~ Exp(1), is a draw from p; nothing is sorted or summed."""
    sampling = row.sampling
    scaled = keep_likely(logits.float() / sampling.temperature, sampling.top_k, sampling.top_p)
    noise = torch.empty_like(scaled).exponential_(generator=generator(row, logits.device))
    return int(
        (torch.softmax(scaled, dim=-1) / noise.clamp_min_(torch.finfo(noise.dtype).tiny)).max(dim=-1).indices
    )


def keep_likely(logits: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """-inf for all but the k likeliest, then for all but the likeliest whose probabilities reach p."""
    if 0 < top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], float("-inf"))
    if top_p < 1.0:
        ordered, order = logits.sort(descending=True)
        probabilities = ordered.softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities
        logits = logits.index_fill(0, order[before >= top_p], float("-inf"))
    return logits


def generator(row: Row, device: torch.device) -> torch.Generator | None:
    """Noise that depends on the seed and the position alone; None without a seed: the process's own."""
    seed = row.sampling.seed
    if seed is None:
        return None
    return torch.Generator(device).manual_seed(mix(seed, row.end))


def mix(seed: int, position: int) -> int:
    """A well-spread 63-bit number from both (splitmix64's finaliser)."""
    value = (seed * 0x9E3779B97F4A7C15 + position * 0xBF58476D1CE4E5B9) & MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK64
    return (value ^ (value >> 31)) >> 1
