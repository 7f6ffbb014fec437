"""What the reader of one sequence gets: its text up to a stop string. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_serve.text.detokenizer import Decode, Detokenizer
from realtime_serve.text.stops import StopMatcher


class Transcript:
    """Tokens in, text out, until the sequence ends or a stop string is complete."""

    def __init__(self, decode: Decode, prompt: Sequence[int], stops: Sequence[str]) -> None:
        self._detokenizer = Detokenizer(decode, prompt)
        self._matcher = StopMatcher(stops)
        self._one_by_one = bool(stops)
        self.tokens = 0  # taken; with a stop string, up to the token that completed it

    @property
    def stopped(self) -> bool:
        """Whether a stop string is complete; no more text will come."""
        return self._matcher.matched

    def push(self, tokens: Sequence[int]) -> str:
        """Take tokens; return the text that can be passed on.

        Tokens are decoded together; one by one only for a stop string, so that the count of tokens does not
        depend on how many arrived at once.
        """
        if not self._one_by_one:
            self.tokens += len(tokens)
            return self._detokenizer.push(tokens)
        text = ""
        for token in tokens:
            if self.stopped:
                break
            self.tokens += 1
            text += self._matcher.push(self._detokenizer.push((token,)))
        return text

    def finish(self) -> str:
        """The sequence has ended: return the text that was held back."""
        return self._matcher.push(self._detokenizer.finish()) + self._matcher.finish()
