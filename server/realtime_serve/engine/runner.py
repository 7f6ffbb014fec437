"""What the loop needs of a model. Whatever can do this can be served."""

from __future__ import annotations

from typing import Protocol

from realtime_serve.engine.batch import Batch, Result
from realtime_serve.engine.messages import ModelCard


class Runner(Protocol):
    card: ModelCard
    page_count: int
    page_size: int

    def run(self, batch: Batch) -> list[Result]:
        """Compute all rows; one result for each row that samples, in order."""
