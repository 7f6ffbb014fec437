"""What a request does to the logits before a token is chosen: penalties, biases, stop ids that come too early.

The penalties are those of OpenAI's API (presence, frequency: of the answer alone) and of the CTRL paper (repetition: of the
prompt too).
"""

from __future__ import annotations

import torch

from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence


def adjusts(sequence: Sequence) -> bool:
    """Whether `adjust` would change anything: most requests leave the logits alone."""
    sampling = sequence.sampling
    return (
        sampling.repetition_penalty != 1.0
        or penalises(sampling)
        or bool(sampling.logit_bias)
        or is_early(sequence)
    )


def penalises(sampling: Sampling) -> bool:
    return bool(sampling.presence_penalty or sampling.frequency_penalty)


def is_early(sequence: Sequence) -> bool:
    return bool(sequence.stop_ids) and len(sequence.generated) < sequence.sampling.min_tokens


def adjust(logits: torch.Tensor, sequence: Sequence) -> None:
    """[vocabulary] in float32, in place. The sequence's tokens are those before the one to choose."""
    sampling = sequence.sampling
    if sampling.repetition_penalty != 1.0:
        seen = torch.tensor(sequence.prompt + sequence.generated, device=logits.device).unique()
        found, factor = logits[seen], sampling.repetition_penalty
        logits[seen] = torch.where(found > 0, found / factor, found * factor)
    if penalises(sampling) and sequence.generated:
        tokens = torch.tensor(sequence.generated, device=logits.device)
        seen, times = tokens.unique(return_counts=True)
        logits[seen] -= sampling.presence_penalty + sampling.frequency_penalty * times
    if sampling.logit_bias:
        logits[list(sampling.logit_bias)] += torch.tensor(
            list(sampling.logit_bias.values()), device=logits.device
        )
    if is_early(sequence):
        logits[[token for token in sequence.stop_ids if token < logits.shape[0]]] = float("-inf")
