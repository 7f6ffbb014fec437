"""One request inside the engine: its tokens, its pages, how far it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from realtime_serve.engine.messages import FinishReason, Sampling
from realtime_serve.engine.pages import name_pages


@dataclass(eq=False)
class Sequence:
    id: int
    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    stop_ids: frozenset[int]
    priority: int
    """0 HIGH, 1 NORMAL, 2 LOW."""
    arrived: float
    """Seconds, on the clock of whoever calls the scheduler."""
    seed: int = 0
    """With the position it decides each draw: computed again after a preemption, the tokens stay the same."""

    generated: list[int] = field(default_factory=list)
    computed: int = 0
    """Tokens whose keys and values are in the pages."""
    pages: list[int] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    """Of its full pages, as far as somebody has asked for them."""
    held: bool = False
    preempted: bool = False
    """It was in the batch before, and is computed again."""

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.generated)

    @property
    def decoding(self) -> bool:
        """All but the newest token are computed, and there is a newest token to go on from."""
        return bool(self.generated) and self.computed == self.length - 1

    def tokens_from(self, start: int, count: int) -> list[int]:
        """Tokens [start, start + count) of prompt and answer."""
        split = len(self.prompt)
        if start >= split:
            return self.generated[start - split : start - split + count]
        return (self.prompt[start : start + count] + self.generated[: max(0, start + count - split)])[:count]

    def page_names(self, pages: int, size: int) -> list[bytes]:
        """Names of the first `pages` pages, or of as many as are full."""
        missing = pages - len(self.names)
        if missing > 0:
            tokens = self.tokens_from(len(self.names) * size, missing * size)
            self.names += name_pages(self.names[-1] if self.names else b"", tokens, size)
        return self.names[:pages]

    def append(self, token: int) -> FinishReason | None:
        """Take the next token, and say whether it ends the sequence."""
        self.generated.append(token)
        if token in self.stop_ids:
            return FinishReason.STOP
        if len(self.generated) >= self.max_tokens:
            return FinishReason.LENGTH
        return None
