"""What is wrong with a request: one bad number would take the whole step along. Pure."""

from __future__ import annotations

import math

from realtime_serve.engine.messages import MOST_LOGPROBS, Sampling, Submit


def refuse(message: Submit, *, longest: int, vocabulary: int) -> str:
    """One sentence, or nothing when it can be computed."""
    prompt = message.prompt
    if not 1 <= len(prompt) < longest:
        return f"a prompt of {len(prompt)} tokens does not fit (1 to {longest - 1})"
    if min(prompt) < 0 or max(prompt) >= vocabulary:
        return f"the prompt has a token outside the vocabulary (0 to {vocabulary - 1})"
    if message.max_tokens < 1:
        return "max_tokens must be 1 or more"
    return refuse_sampling(message.sampling, vocabulary)


def refuse_sampling(sampling: Sampling, vocabulary: int) -> str:
    for name, holds, allowed in (
        ("temperature", math.isfinite(sampling.temperature) and sampling.temperature >= 0, "0 or more"),
        ("top_p", 0 < sampling.top_p <= 1, "above 0 and at most 1"),
        ("top_k", sampling.top_k >= 0, "0 (off) or more"),
        ("min_p", 0 <= sampling.min_p <= 1, "0 to 1"),
        ("presence_penalty", math.isfinite(sampling.presence_penalty), "a finite number"),
        ("frequency_penalty", math.isfinite(sampling.frequency_penalty), "a finite number"),
        ("repetition_penalty", 0 < sampling.repetition_penalty < math.inf, "above 0"),
        ("logprobs", -1 <= sampling.logprobs <= MOST_LOGPROBS, f"-1 (none) to {MOST_LOGPROBS}"),
        ("min_tokens", sampling.min_tokens >= 0, "0 or more"),
        ("logit_bias", all(map(math.isfinite, sampling.logit_bias.values())), "finite numbers"),
    ):
        if not holds:
            return f"{name} is {getattr(sampling, name)}; it must be {allowed}"
    strange = next((token for token in sampling.logit_bias if not 0 <= token < vocabulary), None)
    if strange is not None:
        return f"logit_bias names token {strange}, which is outside the vocabulary (0 to {vocabulary - 1})"
    return ""
