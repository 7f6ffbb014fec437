"""The engine's scheduler, for a program that computes its batches itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from realtime_serve.api.configs import BatchConfig
from realtime_serve.engine.messages import Configure, Sampling
from realtime_serve.engine.pages import PageTable
from realtime_serve.engine.scheduler import Scheduler
from realtime_serve.engine.sequence import Sequence
from realtime_serve.generation.inference import InferenceRequest

MOST_WAITING = 65_536  # requests of one model


@dataclass(slots=True)
class BatchStats:
    """Of one model."""

    waiting: int = 0
    batches: int = 0
    requests: int = 0  # that were in those batches

    @property
    def mean_batch_size(self) -> float:
        """Over all batches so far."""
        return self.requests / self.batches if self.batches else 0.0


class _Queue:
    def __init__(self, config: BatchConfig) -> None:
        batching = Configure(
            config.max_batch_size, config.max_batch_size, config.wait_ms, config.dynamic_batching
        )
        self.scheduler = Scheduler(PageTable(count=config.max_batch_size, size=1), batching)
        self.requests: dict[int, InferenceRequest] = {}
        self.stats = BatchStats()
        self.news = asyncio.Event()
        self.count = 0


class BatchScheduler:
    """Queues for each model, formed into batches as the engine forms them.

    A batch forms when it is full or when the wait ends; HIGH goes first, and who waits long rises, so that LOW always gets through.

    >>> import asyncio
    >>> async def example():
    ...     scheduler = BatchScheduler(BatchConfig(max_batch_size=2))
    ...     for prompt in ("a", "b", "c"):
    ...         await scheduler.enqueue(InferenceRequest(model="m", prompt=prompt))
    ...     return [request.prompt for request in await scheduler.get_batch("m")]
    >>> asyncio.run(example())
    ['a', 'b']

    """

    def __init__(
        self, config: BatchConfig | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config or BatchConfig()
        self._clock = clock
        self._queues: dict[str, _Queue] = {}

    async def enqueue(self, request: InferenceRequest) -> None:
        """Put a request into its model's queue.

        Raises:
            OverflowError: the queue is full.

        """
        queue = self._queue(request.model)
        if len(queue.requests) >= MOST_WAITING:
            raise OverflowError(f"{MOST_WAITING} requests wait for {request.model!r}, the limit")
        queue.count += 1
        queue.requests[queue.count] = request
        queue.scheduler.add(
            Sequence(
                id=queue.count,
                prompt=[0],
                max_tokens=1,
                sampling=Sampling(),
                stop_ids=frozenset(),
                priority=request.priority,
                arrived=self._clock(),
            )
        )
        queue.news.set()

    async def get_batch(self, model: str) -> list[InferenceRequest]:
        """Wait for the model's next batch, and take it."""
        queue = self._queue(model)
        while (at := queue.scheduler.forms_at()) is None or at > self._clock():
            queue.news.clear()
            patience = None if at is None else max(0.0, at - self._clock())
            try:
                await asyncio.wait_for(queue.news.wait(), patience)
            except TimeoutError:
                continue
        batch = queue.scheduler.schedule(self._clock())
        taken = [row.sequence.id for row in batch.rows]
        for sequence_id in taken:
            queue.scheduler.abort(sequence_id)
        queue.stats.batches += 1
        queue.stats.requests += len(taken)
        return [queue.requests.pop(sequence_id) for sequence_id in taken]

    def stats(self) -> dict[str, BatchStats]:
        """Return what is known of each model's queue."""
        for queue in self._queues.values():
            queue.stats.waiting = len(queue.requests)
        return {model: queue.stats for model, queue in self._queues.items()}

    def _queue(self, model: str) -> _Queue:
        if model not in self._queues:
            self._queues[model] = _Queue(self._config)
        return self._queues[model]
