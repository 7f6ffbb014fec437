"""The vocabulary of a model's tokenizer, for the grammars that answers may have to follow."""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec.structs import replace

from realtime_serve.engine.grammar import Grammars
from realtime_serve.engine.messages import ModelCard

log = logging.getLogger("realtime_serve.model")


def with_grammars(card: ModelCard) -> tuple[ModelCard, Grammars | None]:
    """For a model that the card describes; the card then says why there are none, if there are none."""
    if not card.eos_ids:
        return replace(card, no_grammar="the model has no token that ends an answer"), None
    try:
        tokenizer = read_tokenizer(Path(card.directory))
        return card, Grammars(tokenizer, vocabulary=card.vocab_size, ends=card.eos_ids)
    except Exception as error:  # noqa: BLE001  the libraries raise nothing narrower; the model serves all the same
        log.warning("no grammars", extra={"fields": {"directory": card.directory, "reason": str(error)}})
        return replace(card, no_grammar=f"the model's tokenizer cannot be used for it: {error}"), None


def read_tokenizer(directory: Path) -> str:
    """In the format of tokenizer.json."""
    path = directory / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    from transformers import AutoTokenizer  # noqa: PLC0415  models of one's own do without transformers

    converted: str = AutoTokenizer.from_pretrained(str(directory)).backend_tokenizer.to_str()
    return converted
