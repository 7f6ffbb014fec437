"""Sequences that are not in the batch, in the order in which they go into it. Pure: time is passed in.

In each class they stand by arrival. An older one is never of a lower rank than a younger one of its class, so the order over
all classes is a merge of these lines: whoever wants the first few pays for no more, however many wait.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from heapq import merge

from realtime_serve.engine.sequence import Sequence

AGE_SECONDS = 2.0
"""A waiting sequence rises one class after this long; in the highest class the oldest goes first, so none starves."""


def rank(sequence: Sequence, now: float) -> tuple[int, float, int]:
    """Lower goes first: class, raised by age; then arrival."""
    raised = int(max(0.0, now - sequence.arrived) / AGE_SECONDS)
    return max(0, sequence.priority - raised), *_arrival(sequence)


class Waiting(Mapping[int, Sequence]):
    """By id."""

    def __init__(self) -> None:
        self._sequences: dict[int, Sequence] = {}
        self._lines: defaultdict[int, list[Sequence]] = defaultdict(list)

    def __getitem__(self, sequence_id: int) -> Sequence:
        return self._sequences[sequence_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._sequences)

    def __len__(self) -> int:
        return len(self._sequences)

    def put(self, sequence: Sequence) -> None:
        """One that was here before gets its old place again."""
        self._sequences[sequence.id] = sequence
        insort(self._lines[sequence.priority], sequence, key=_arrival)

    def take(self, sequence_id: int) -> Sequence | None:
        """Out of the line; None when it is not here."""
        sequence = self._sequences.pop(sequence_id, None)
        if sequence is not None:
            line = self._lines[sequence.priority]
            del line[bisect_left(line, _arrival(sequence), key=_arrival)]
        return sequence

    def in_order(self, now: float) -> Iterator[Sequence]:
        """As they stand now, whoever comes or goes meanwhile."""
        return merge(*map(list.copy, self._lines.values()), key=lambda sequence: rank(sequence, now))


def _arrival(sequence: Sequence) -> tuple[float, int]:
    return sequence.arrived, sequence.id
