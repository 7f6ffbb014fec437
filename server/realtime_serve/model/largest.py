"""The largest logit of each row and the token it belongs to."""

from __future__ import annotations

import torch

BLOCK = 256
"""Columns that are looked at together."""


def largest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[rows, vocabulary] → the values and, where several tokens have it, the first token; NaN counts as larger than all.

    As `max(dim=-1)`, which compares one number after the other on a CPU because it keeps their places: here vectors give the
    largest of each block first, and places are kept within one block of a row alone.
    """
    rows, vocabulary = logits.shape
    if logits.device.type != "cpu" or vocabulary < BLOCK:
        best, tokens = logits.max(dim=-1)
        return best, tokens
    whole = vocabulary - vocabulary % BLOCK
    blocks = logits[:, :whole].unflatten(-1, (-1, BLOCK))
    best, block = blocks.amax(dim=-1).max(dim=-1)
    tokens = block * BLOCK + blocks[torch.arange(rows), block].max(dim=-1).indices
    if whole < vocabulary:
        last, place = logits[:, whole:].max(dim=-1)
        larger = (last > best) | (last.isnan() & ~best.isnan())
        best, tokens = torch.where(larger, last, best), torch.where(larger, whole + place, tokens)
    return best, tokens
