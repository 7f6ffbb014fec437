"""One of the answers to a request: a sequence in the engine, and the text that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

from realtime_serve.engine.messages import FinishReason, TokenLogprob
from realtime_serve.engine.streams import Tokens, TokenStream
from realtime_serve.errors import GenerationFailed
from realtime_serve.generation.record import Record
from realtime_serve.generation.request import Chance, Deliver, Delta, TokenChances
from realtime_serve.text.pieces import Piece
from realtime_serve.text.transcript import Transcript

Describe = Callable[[int], Piece]


class Choice:
    """Runs once, to its end."""

    def __init__(
        self,
        index: int,
        stream: TokenStream,
        transcript: Transcript,
        *,
        stop_ids: frozenset[int],
        describe: Describe,
    ) -> None:
        self.index = index
        self.stream = stream
        self.finish_reason: Literal["stop", "length"] = "stop"
        self._transcript = transcript
        self._stop_ids = stop_ids
        self._describe = describe
        self._unseen = 0  # tokens that are no text and count: the one that ended it
        self._words: list[int] = []  # tokens whose text has not gone out
        self._chances: list[TokenChances] = []  # theirs

    @property
    def tokens(self) -> int:
        """Made so far, and of use to the client."""
        return self._transcript.tokens + self._unseen

    async def run(self, deliver: Deliver, record: Record) -> None:
        """Hand on the text as it comes; while `deliver` waits, so does the sequence.

        Raises:
            GenerationFailed: it ended without a whole answer.

        """
        begun = False
        async for tokens in self.stream:
            if self.stream.queued_seconds is not None and not begun:
                begun = True
                record.started(self.stream.queued_seconds, self.index)
            record.saw(len(tokens.tokens), self.index)
            reason, text = self._take(tokens)
            if text or (reason and self._chances):
                record.wrote()
                words, self._words = tuple(self._words), []
                chances, self._chances = tuple(self._chances), []
                await deliver(Delta(text, self._transcript.tokens, self.index, chances, words))
            if reason is not None:
                self.finish_reason = reason
                return
        raise GenerationFailed("the engine ended the sequence without a reason")

    def _take(self, tokens: Tokens) -> tuple[Literal["stop", "length"] | None, str]:
        reason, words, transcript = _reason(tokens), tokens.tokens, self._transcript
        if reason == "stop" and words and words[-1] in self._stop_ids:
            words, self._unseen = words[:-1], 1
        before = transcript.tokens
        text = transcript.push(words)
        taken = transcript.tokens - before
        self._words += words[:taken]
        if tokens.logprobs:
            self._chances += [
                self._tell(*pair) for pair in zip(words[:taken], tokens.logprobs[:taken], strict=True)
            ]
        if transcript.stopped:
            reason, self._unseen = "stop", 0
        if reason is not None:
            text += transcript.finish()
        return reason, text

    def _tell(self, token: int, logprob: TokenLogprob) -> TokenChances:
        top = tuple(Chance(self._describe(other), chance) for other, chance in logprob.top)
        return TokenChances(Chance(self._describe(token), logprob.chosen), top)


def _reason(tokens: Tokens) -> Literal["stop", "length"] | None:
    """How the engine ended the sequence, None while it goes on."""
    match tokens.finish:
        case None:
            return None
        case FinishReason.STOP:
            return "stop"
        case FinishReason.LENGTH:
            return "length"
        case FinishReason.ABORT:
            raise GenerationFailed("the engine gave the sequence up")
        case FinishReason.ERROR:
            raise GenerationFailed(tokens.error or "the engine failed")
    assert_never(tokens.finish)
