"""Which tokens the grammars of a step's rows leave, as masks over logits."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from realtime_serve.engine.batch import Row
from realtime_serve.engine.grammar import GrammarBroken, Grammars

BITS = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8)


@dataclass
class Masks:
    """By the places of the rows that have a grammar."""

    allowed: dict[int, torch.Tensor] = field(default_factory=dict)
    """[vocabulary], True where a token may come next."""
    errors: dict[int, str] = field(default_factory=dict)


def read_masks(rows: list[Row], grammars: Grammars | None, vocabulary: int) -> Masks:
    masks = Masks()
    for place, row in enumerate(rows):
        if not row.sampling.grammar:
            continue
        if grammars is None:
            masks.errors[place] = "answers of this model can follow no grammar"
            continue
        try:
            masks.allowed[place] = unpack(grammars.allowed(row.sequence), vocabulary)
        except GrammarBroken as error:
            masks.errors[place] = f"the answer cannot go on by its response_format: {error}"
    return masks


def unpack(bits: bytes, vocabulary: int) -> torch.Tensor:
    """[vocabulary] of bool; what the bits do not reach is not allowed."""
    packed = torch.frombuffer(bytearray(bits), dtype=torch.uint8)
    found = (packed[:, None] & BITS).flatten()[:vocabulary].bool()
    return torch.nn.functional.pad(found, (0, vocabulary - len(found)))
