"""Token ids that arrive in pieces become text, with no character broken at the border of a piece. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]

CONTEXT_TOKENS = 8  # of the prompt: decoders treat the first token of a text in another way than a later one
PIECE_TOKENS = 16  # decoded at once, so that the window stays short when many tokens were merged
WINDOW_LIMIT = 64  # tokens without a clean end, only ever seen in noise; past it the noise is passed on

_BROKEN = "\N{REPLACEMENT CHARACTER}"  # what decoders write for bytes that are no character (yet)


class Detokenizer:
    """The text of one sequence. All pieces joined are what `decode` makes of all tokens at once.

    It decodes a short window: the tokens of the last piece as context, and those not yet passed on. (Not the
    tokenizers' DecodeStream: that one passes nothing on while a merged piece ends inside a character, has no end
    of text, and raises on a context that ends inside a character.)
    """

    def __init__(self, decode: Decode, prompt: Sequence[int] = ()) -> None:
        self._decode = decode
        self._window = _whole_tail(decode, prompt)
        self._context = len(self._window)  # tokens of the window whose text is out already
        self._shown = len(decode(self._window).rstrip(_BROKEN))  # characters of the window's text already out

    def push(self, tokens: Sequence[int]) -> str:
        """Take tokens; return the text that is whole so far."""
        if len(tokens) <= PIECE_TOKENS:
            return self._push(tokens)
        pieces = (tokens[begin : begin + PIECE_TOKENS] for begin in range(0, len(tokens), PIECE_TOKENS))
        return "".join([self._push(piece) for piece in pieces])

    def finish(self) -> str:
        """The sequence has ended: return what is left, a broken character too."""
        return self._show(self._decode(self._window))

    def _push(self, tokens: Sequence[int]) -> str:
        self._window += tokens
        text = self._decode(self._window)
        whole = text.rstrip(_BROKEN)
        if len(whole) < len(text):
            waiting = len(self._window) - self._context >= WINDOW_LIMIT
            if not waiting or (begun := self._begun_character()):
                piece = self._show(whole)
                if waiting:
                    self._advance(begun)
                return piece
        piece = self._show(text)
        self._advance()
        return piece

    def _begun_character(self) -> int:
        """How many tokens the character has that is not whole yet, at most three; 0: what is broken is noise."""
        for size in (1, 2, 3):
            if not self._decode(self._window[:-size]).endswith(_BROKEN):
                return size
        return 0

    def _show(self, text: str) -> str:
        piece = text[self._shown :]
        self._shown = max(self._shown, len(text))
        return piece

    def _advance(self, begun: int = 0) -> None:
        """All but the last `begun` tokens are out: they are the context of what follows."""
        self._window = self._window[self._context :]
        self._context = len(self._window) - begun
        self._shown = len(self._decode(self._window[: self._context]))


def _whole_tail(decode: Decode, prompt: Sequence[int]) -> list[int]:
    """The prompt's last tokens, begun at the border of a character (which has at most four bytes)."""
    for size in range(CONTEXT_TOKENS, CONTEXT_TOKENS + 4):
        tail = list(prompt[-size:])
        if not decode(tail).startswith(_BROKEN):
            return tail
    return []
