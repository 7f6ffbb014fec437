"""The engine's runner over a model of one's own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NoReturn

from realtime_serve.engine.messages import ModelCard
from realtime_serve.engine.runner import Runner
from realtime_serve.errors import EngineFailed
from realtime_serve.model.byte_tokenizer import END_ID, write_byte_tokenizer
from realtime_serve.model.own_tokens import PAGE_TOKENS, PAGES, TokenRunner
from realtime_serve.model.protocols import LogitsModel, OwnModel, TokenModel


def own_runner(model: object) -> Runner:
    """Return the runner for whatever the loader returned.

    Raises:
        EngineFailed: it is no model, or says of itself what cannot be.

    """
    if isinstance(model, LogitsModel):
        # torch takes seconds to import, and a model of tokens needs none of it
        from realtime_serve.model.own_logits import LogitsRunner  # noqa: PLC0415

        return LogitsRunner(model, card_of(model))
    if isinstance(model, TokenModel):
        return TokenRunner(model, card_of(model))
    raise EngineFailed(
        "ModelInvalid",
        f"the loader returned {type(model).__name__}; a model has logits(tokens) or generate(tokens, sampling), "
        "and vocab_size, max_model_length, eos_ids, directory",
    )


def card_of(model: OwnModel) -> ModelCard:
    """Return what the model says of itself; one without a tokenizer gets that of bytes."""
    directory, vocabulary, ends = model.directory, model.vocab_size, [*model.eos_ids]
    if not directory:
        directory = tempfile.mkdtemp(prefix="realtime-serve-tokenizer-")
        write_byte_tokenizer(Path(directory))
        if vocabulary < END_ID + 1:
            _refuse(
                "vocab_size", f"{vocabulary}; without a tokenizer of its own there are {END_ID + 1} tokens"
            )
    if not 8 <= model.max_model_length <= PAGES * PAGE_TOKENS:
        _refuse("max_model_length", f"{model.max_model_length}; allowed is 8 to {PAGES * PAGE_TOKENS}")
    if not ends:
        _refuse("eos_ids", "empty; at least one token must end an answer")
    if any(not 0 <= end < vocabulary for end in ends):
        _refuse("eos_ids", f"{ends}; tokens are 0 to {vocabulary - 1}")
    return ModelCard(
        directory=directory,
        vocab_size=vocabulary,
        eos_ids=ends,
        max_model_length=model.max_model_length,
        dtype="float32",
        device="cpu",
        kv_tokens=PAGES * PAGE_TOKENS,
    )


def _refuse(name: str, wrong: str) -> NoReturn:
    raise EngineFailed("ModelInvalid", f"{name}: {wrong}")
