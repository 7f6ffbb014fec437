"""Steps a scheduler and a runner by hand, and checks after each step what must always hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import Any

from realtime_serve.engine.batch import Batch, Emission, Result, Row
from realtime_serve.engine.messages import Configure, FinishReason, ModelCard, Sampling
from realtime_serve.engine.pages import PageTable
from realtime_serve.engine.runner import Runner
from realtime_serve.engine.scheduler import Scheduler
from realtime_serve.engine.sequence import Sequence

VOCABULARY = 97
GREEDY = Sampling(temperature=0.0)


def following(tokens: Many[int]) -> int:
    """The memory runner's model: the next token hangs on every token before it."""
    value = 1
    for token in tokens:
        value = (value * 31 + token + 7) % 1_000_003
    return value % VOCABULARY


def expected(prompt: Many[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(following(tokens))
    return tokens[len(prompt) :]


class MemoryRunner:
    """A model whose cache holds the tokens themselves; it reads all but the new ones back out of the sequence's pages.

    A page that was given to two sequences, given back too early, named wrongly or never filled shows in the tokens.
    """

    def __init__(self, *, count: int, size: int) -> None:
        self.page_count, self.page_size = count, size
        self.card = ModelCard("", VOCABULARY, [], count * size, "float32", "cpu", count * size)
        self.memory = [[-1] * size for _ in range(count)]
        self.computed = 0
        """Tokens."""

    def run(self, batch: Batch) -> list[Result]:
        self.computed += sum(len(row.tokens) for row in batch.rows)
        for page in batch.clean:
            self.memory[page] = [-1] * self.page_size
        for row in batch.rows:
            self._write(row)
        return [Result(following(self._read(row))) for row in batch.rows if row.samples]

    def spoil(self, batch: Batch) -> None:
        """What a step that breaks off leaves behind."""
        for row in batch.rows:
            for position in range(row.start, row.end):
                self.memory[row.sequence.pages[position // self.page_size]][position % self.page_size] = 10**9

    def _write(self, row: Row) -> None:
        for position, token in enumerate(row.tokens, start=row.start):
            page = row.sequence.pages[position // self.page_size]
            self.memory[page][position % self.page_size] = token

    def _read(self, row: Row) -> list[int]:
        tokens = [token for page in row.sequence.pages for token in self.memory[page]]
        return tokens[: row.end]


@dataclass
class Outcome:
    tokens: list[int] = field(default_factory=list)
    finish: int = 0
    error: str = ""
    chosen: list[float] = field(default_factory=list)
    """Logprobs of the tokens, where they were asked for."""


class Driver:
    """The loop of the engine without its process."""

    def __init__(self, runner: Runner, *, pages: int = 0, **batching: Any) -> None:
        """pages: fewer than the runner has."""
        self.runner = runner
        self.pages = PageTable(count=pages or runner.page_count, size=runner.page_size)
        self.scheduler = Scheduler(self.pages, Configure(**batching))
        self.now = 0.0
        self.outcomes: dict[int, Outcome] = {}
        self.batches: list[Batch] = []

    def add(
        self,
        prompt: Many[int],
        max_tokens: int,
        *,
        sampling: Sampling = GREEDY,
        stop_ids: Many[int] = (),
        priority: int = 1,
    ) -> int:
        number = len(self.outcomes)
        self.outcomes[number] = Outcome()
        self.scheduler.add(
            Sequence(
                id=number,
                prompt=list(prompt),
                max_tokens=max_tokens,
                sampling=sampling,
                stop_ids=frozenset(stop_ids),
                priority=priority,
                arrived=self.now,
                seed=sampling.seed or 0,
            )
        )
        return number

    def abort(self, number: int) -> None:
        if self.scheduler.abort(number):
            self.outcomes[number].finish = FinishReason.ABORT
        self.check()

    def step(self, seconds: float = 0.01) -> list[Emission]:
        self.now += seconds
        batch = self.scheduler.schedule(self.now)
        self.check()
        self.check_batch(batch)
        self.batches.append(batch)
        emissions = self.scheduler.apply(batch, self.runner.run(batch) if batch.rows else [])
        for emission in emissions:
            self._book(emission)
        self.check()
        return emissions

    def fail_step(self) -> set[int]:
        """Schedule a step, spoil every page that it would write, and raise; the sequences that this ends."""
        self.now += 0.01
        batch = self.scheduler.schedule(self.now)
        if isinstance(self.runner, MemoryRunner):
            self.runner.spoil(batch)
        emissions = self.scheduler.fail(batch, "broken")
        for emission in emissions:
            self._book(emission)
        self.check()
        return {emission.id for emission in emissions}

    def finish(self, limit: int = 10_000) -> None:
        """Step until nothing is left; every step must do something."""
        for _ in range(limit):
            if not self.scheduler.waiting and not self.scheduler.running:
                return
            self.step()
            assert self.batches[-1].rows, "work is there, and a step did none of it"
        raise AssertionError(f"not done after {limit} steps")

    def check(self) -> None:
        """Pages: each is free or held by running sequences, none is lost."""
        running, waiting = self.scheduler.running, self.scheduler.waiting
        held = Counter(page for sequence in running.values() for page in sequence.pages)
        assert self.pages.held == len(held)
        assert self.pages.free + self.pages.held == self.pages.count, "a page was lost"
        assert not any(sequence.pages for sequence in waiting.values())
        assert not set(running) & set(waiting)
        for number, outcome in self.outcomes.items():
            assert (number in running or number in waiting) != bool(outcome.finish)

    def check_batch(self, batch: Batch) -> None:
        ids = [row.sequence.id for row in batch.rows]
        assert len(ids) == len(set(ids)), "a sequence twice in a step"
        assert sum(len(row.tokens) for row in batch.rows) <= self.scheduler.batching.max_batch_tokens
        written = Counter(page for row in batch.rows for page in self.written(row))
        assert set(written.values()) <= {1}, "two write a page"
        elders = [s for number, s in self.scheduler.running.items() if number not in batch.admitted]
        held = Counter(page for s in elders for page in s.pages)
        for row in batch.rows:
            assert row.tokens
            mine = row.sequence.id not in batch.admitted
            assert all(held[page] == mine for page in self.written(row)), (
                "a page that somebody has read is written"
            )
            assert not row.sequence.held
            assert row.end <= len(row.sequence.pages) * self.pages.size, "no room for the tokens of this row"
        assert all(len(row.tokens) == 1 and row.samples for row in batch.rows[: batch.decoding])

    def written(self, row: Row) -> list[int]:
        return row.sequence.pages[row.start // self.pages.size : -(-row.end // self.pages.size)]

    def _book(self, emission: Emission) -> None:
        outcome = self.outcomes[emission.id]
        assert not outcome.finish, "a token after the end"
        if emission.token >= 0:
            outcome.tokens.append(emission.token)
        if emission.logprob is not None:
            outcome.chosen.append(emission.logprob.chosen)
        outcome.finish, outcome.error = emission.finish, emission.error


def driver(count: int = 64, size: int = 4, **batching: Any) -> Driver:
    """On so many pages of so many tokens."""
    return Driver(MemoryRunner(count=count, size=size), **batching)


def ids(batch: Batch) -> list[int]:
    return [row.sequence.id for row in batch.rows]
