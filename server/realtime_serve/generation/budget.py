"""How many tokens one request may generate. Pure."""

from __future__ import annotations

from realtime_serve.errors import ContextLengthExceeded, InvalidRequest


def token_budget(prompt: int, asked: int | None, *, limit: int, context: int, field: str) -> int:
    """Return the number of tokens to generate at most.

    Args:
        prompt: tokens of the prompt.
        asked: what the request says, None for as many as fit.
        limit: `limits.maxTokens`.
        context: the model's length, prompt and answer together.
        field: the request's name of `asked`.

    Raises:
        ContextLengthExceeded: prompt and answer do not fit into the model.
        InvalidRequest: more is asked than the server's limit.

    """
    room = context - prompt
    if room < 1:
        raise ContextLengthExceeded(
            f"the prompt has {prompt} tokens; this model's context length is {context}, "
            "of which at least one is for the answer"
        )
    if asked is None:
        return min(room, limit)
    if asked > limit:
        raise InvalidRequest(field, f"{asked} is above this server's limit of {limit}")
    if asked > room:
        raise ContextLengthExceeded(
            f"this model's context length is {context} tokens; the prompt has {prompt} and {field} asks for "
            f"{asked}, together {prompt + asked}",
            param=field,
        )
    return asked
