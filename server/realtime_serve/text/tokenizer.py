"""The tokenizer and chat template of a model's directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from tokenizers import Tokenizer as FastTokenizer

from realtime_serve.errors import ChatTemplateMissing, TokenizerUnusable
from realtime_serve.text.chat import ChatTemplate
from realtime_serve.text.pieces import Piece, piece_of


class Tokenizer:
    """Text to token ids and back. Safe to use from any thread."""

    def __init__(self, tokenizer: FastTokenizer, chat: ChatTemplate | None) -> None:
        self._tokenizer = tokenizer
        self._chat = chat
        self._pieces: dict[int, Piece] = {}  # at most the vocabulary
        self._words: dict[int, str] = {}  # tokens decoded alone; at most the vocabulary

    def encode(self, text: str) -> list[int]:
        """Token ids of a plain prompt, with the special tokens that the model wants around it."""
        return self._tokenizer.encode(text, add_special_tokens=True).ids

    def encode_chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """Token ids of a conversation; the chat template writes the special tokens itself.

        Raises:
            ChatTemplateMissing: the model has no chat template.
            ChatTemplateRefused: the template does not take these messages, or no tools.

        """
        if self._chat is None:
            raise ChatTemplateMissing
        return self._tokenizer.encode(self._chat.render(messages, tools), add_special_tokens=False).ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones left out."""
        if len(tokens) == 1:
            return self._decode_one(tokens[0])
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def describe(self, token: int) -> Piece:
        """Return what one token stands for, special ones too."""
        if (piece := self._pieces.get(token)) is None:
            name = self._tokenizer.id_to_token(token) or ""
            piece = self._pieces[token] = piece_of(token, name, self._decode_all)
        return piece

    def _decode_one(self, token: int) -> str:
        if (text := self._words.get(token)) is None:
            text = self._words[token] = self._tokenizer.decode([token], skip_special_tokens=True)
        return text

    def _decode_all(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)


def load_tokenizer(directory: Path) -> Tokenizer:
    """Read the tokenizer of a model's directory.

    Raises:
        TokenizerUnusable: there is none, or it cannot be read.

    """
    config = _read_config(directory / "tokenizer_config.json")
    return Tokenizer(_load_fast(directory), _load_chat(directory, config))


def _load_fast(directory: Path) -> FastTokenizer:
    path = directory / "tokenizer.json"
    try:
        return FastTokenizer.from_file(str(path)) if path.exists() else _convert(directory)
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise TokenizerUnusable(f"the tokenizer in {directory} cannot be read: {error}") from error


def _convert(directory: Path) -> FastTokenizer:
    """Older models carry a vocabulary only; transformers knows how to build the fast tokenizer from it."""
    from transformers import AutoTokenizer  # noqa: PLC0415  it imports torch: 6 s and 0.5 GB

    backend: FastTokenizer = AutoTokenizer.from_pretrained(str(directory)).backend_tokenizer
    return backend


def _load_chat(directory: Path, config: Mapping[str, Any]) -> ChatTemplate | None:
    path = directory / "chat_template.jinja"
    source = path.read_text(encoding="utf-8") if path.exists() else config.get("chat_template")
    if isinstance(source, list):  # several by name; the one without a purpose is called "default"
        source = next((entry["template"] for entry in source if entry.get("name") == "default"), None)
    if not source:
        return None
    try:
        return ChatTemplate(source, _special_tokens(config))
    except jinja2.TemplateError as error:
        raise TokenizerUnusable(f"the chat template of {directory} cannot be read: {error}") from error


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """`bos_token` and its like: the text itself, or an object that describes it."""
    found = {}
    for name, value in config.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found


def _read_config(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TokenizerUnusable(f"{path} is no JSON: {error}") from error
    return config if isinstance(config, dict) else {}
