"""The tokens of one sequence on their way from the engine's frames to the request that reads them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from realtime_serve.engine.messages import FinishReason, Hold, Resume, TokenLogprob


class Owner(Protocol):
    """The engine that a stream belongs to."""

    def hint(self, message: Hold | Resume) -> None:
        """Send it, or not when the engine is gone."""

    def forget(self, sequence_id: int) -> None:
        """The reader has gone."""


class Tokens(msgspec.Struct, frozen=True):
    """What came since the reader last looked."""

    tokens: list[int]
    finish: FinishReason | None
    error: str = ""
    logprobs: Sequence[TokenLogprob] = ()
    """One for each token, where the sampling asks for them; else empty."""


class TokenStream:
    """The tokens of one sequence. A reader that lags by more than the buffer holds its own sequence, and no other."""

    def __init__(self, owner: Owner, sequence_id: int, buffer_tokens: int) -> None:
        self.id = sequence_id
        self.queued_seconds: float | None = None
        """From `submit` to the step that computed its first tokens; None while it waits."""
        self._submitted = time.monotonic()
        self._owner = owner
        self._buffer_tokens = max(1, buffer_tokens)
        self._unread: list[int] = []
        self._logprobs: list[TokenLogprob] = []
        self._finish: FinishReason | None = None
        self._error = ""
        self._held = False
        self._done = False
        self._news = False
        self._reader: asyncio.Future[None] | None = None  # waits for news

    def __aiter__(self) -> TokenStream:
        return self

    async def __anext__(self) -> Tokens:
        if self._done:
            raise StopAsyncIteration
        if not self._news:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        self._news = False
        tokens = Tokens(self._unread, self._finish, self._error, self._logprobs)
        self._unread, self._logprobs = [], []
        self._done = self._finish is not None
        if self._held and not self._done:
            self._held = False
            self._owner.hint(Resume(self.id))
        return tokens

    def abort(self) -> None:
        """Leave the batch within one step. Idempotent, and right at any time."""
        if self._finish is None:
            self._owner.forget(self.id)
            self._end(FinishReason.ABORT)

    def start(self, step_seconds: float) -> None:
        """For the engine's reader only: the step that has just ended was its first."""
        if self.queued_seconds is None:
            self.queued_seconds = max(0.0, time.monotonic() - step_seconds - self._submitted)

    def push(self, token: int, finish: int, error: str, logprob: TokenLogprob | None = None) -> None:
        """For the engine's reader only."""
        if token >= 0:
            self._unread.append(token)
        if logprob is not None:
            self._logprobs.append(logprob)
        if finish:
            self._end(FinishReason(finish), error)
        elif len(self._unread) >= self._buffer_tokens and not self._held:
            self._held = True
            self._owner.hint(Hold(self.id))
        self._tell()

    def _end(self, finish: FinishReason, error: str = "") -> None:
        self._finish, self._error = finish, error
        self._tell()

    def _tell(self) -> None:
        """Wake the reader: by a bare future, as an Event costs more at every token."""
        self._news = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
