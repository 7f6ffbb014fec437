"""How a step is kept so that it can be run again at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

Run = Callable[[], None]
WARM_UPS = 2
"""Runs before a capture: libraries take their memory and choose their kernels in the first ones."""


class Capture(Protocol):
    def record(self, step: Run) -> Run:
        """What does the same as `step`, on the same memory. May run it some times."""


class Eager:
    """Nothing is kept: for processors, where a call costs little beside what it computes."""

    def record(self, step: Run) -> Run:
        return step


class CudaGraphs:
    """Each step becomes a CUDA graph: one launch for all its kernels. All share one pool of memory, since one runs at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, step: Run) -> Run:
        """Raises RuntimeError for a step that cannot be captured: one that waits for the device, for example."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            step()
        replay: Run = graph.replay
        return replay
