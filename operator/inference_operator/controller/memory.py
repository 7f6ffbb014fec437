"""What the last good run of each model saw. Losing it costs one run a model, and nothing is ever decided by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inference_operator.cluster.survey import Sighting
from inference_operator.controller.key import Key


class Memory:
    """Two words a model."""

    def __init__(self) -> None:
        self._seen: dict[Key, Sighting] = {}

    def note(self, key: Key, seen: Sighting) -> None:
        self._seen[key] = seen

    def forget(self, key: Key) -> None:
        self._seen.pop(key, None)

    def differing(self, found: Mapping[Key, Sighting]) -> Iterator[Key]:
        """Models that are not as their last good run saw them, and those that are gone."""
        for key in {**self._seen, **found}:
            if self._seen.get(key) != found.get(key):
                yield key
