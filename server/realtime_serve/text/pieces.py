"""What single tokens stand for: their text, and their bytes where these are no whole characters. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")  # SentencePiece's name of a byte that no token has


class Piece(NamedTuple):
    """One token, for people and programs."""

    text: str
    bytes: bytes


def piece_of(token: int, name: str, decode: Callable[[Sequence[int]], str]) -> Piece:
    """Return what the token adds to a text.

    Args:
        token: its id.
        name: how the vocabulary writes it.
        decode: of the tokenizer, special tokens included. Decoders may strip the space before the first token of
            a text, so the token is decoded behind itself.

    """
    text = decode([token, token])[len(decode([token])) :]
    if _BROKEN not in text:
        return Piece(text, text.encode())
    if fallback := _FALLBACK.fullmatch(name):
        return Piece(text, bytes.fromhex(fallback[1]))
    known = [_BYTES.get(letter) for letter in name]
    return Piece(
        text, bytes(byte for byte in known if byte is not None) if None not in known else text.encode()
    )


def _byte_letters() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes are themselves, the others come after U+0100 in their order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


_BYTES = _byte_letters()
