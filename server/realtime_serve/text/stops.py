"""Stop strings found in a text that arrives in pieces. Pure."""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Passes text on until one of the stop strings is complete, and never a part of that string.

    What is passed on depends on the text alone, not on where it was cut into pieces. The stop string that is
    complete first wins; of two that end together, the longer.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.matched = False

    def push(self, text: str) -> str:
        """Take the next piece; return what is certain to be no part of a stop string."""
        if self.matched:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        begin = self._first_match(text)
        if begin is not None:
            self.matched, self._held = True, ""
            return text[:begin]
        keep = self._open_suffix(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """The text has ended: return what was held back for a stop string that did not come."""
        held, self._held = self._held, ""
        return held

    def _first_match(self, text: str) -> int | None:
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _open_suffix(self, text: str) -> int:
        """Length of the longest end of the text with which a stop string could begin."""
        longest = min(len(text), max(len(stop) for stop in self._stops) - 1)
        for length in range(longest, 0, -1):
            end = text[len(text) - length :]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
