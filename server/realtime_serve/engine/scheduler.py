"""Who runs in the next step. Pure: time is passed in.

Each step, every running sequence decodes one token; what is left of the token budget goes to prompts, in bounded chunks,
so that a long prompt never stops the others. Waiting sequences are admitted by class and age while the batch has room and
the cache has pages. What a sequence's pages hold already, because another one began with the same tokens, is not computed
again; nor what another one computes in the same step, because a step writes all its pages before it reads any. When pages
run out, the sequence that counts least gives its own back and is computed again later, as far as its pages are gone by then.
A held sequence counts least of all: it keeps its pages and its place as long as nobody else wants them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from realtime_serve.engine.batch import Batch, Emission, Result, Row
from realtime_serve.engine.messages import Configure, FinishReason
from realtime_serve.engine.pages import PageTable
from realtime_serve.engine.sequence import Sequence
from realtime_serve.engine.waiting import Waiting, rank

CHUNK_TOKENS = 512
"""Most prompt tokens in a step that also decodes: bounds what new prompts add to the others' next token."""
LEAST_CHUNK_TOKENS = 32
"""As many it may have in any case."""
WORTH_WAITING = 64
"""A sequence waits for another one that is computing its next pages when so many of their tokens are the same."""
PASSED = 64
"""So many at most are passed over in a step because they had better wait: each costs a look at its pages."""
BURST_SHARE = 0.2
"""With `dynamic`, an idle engine waits no longer for company than this share of maxWaitMs after the newest arrival."""


def chunk_tokens(decoding: int, reading: int, ridge: int) -> int:
    """Prompt tokens of a step beside rows that decode: as many as double its time, and more the more sequences wait for their first
    token, and the fewer for their next. ridge: see `pace`.
    """
    double = decoding + ridge
    return min(CHUNK_TOKENS, max(LEAST_CHUNK_TOKENS, double, CHUNK_TOKENS * reading // decoding))


class Scheduler:
    def __init__(self, pages: PageTable, batching: Configure) -> None:
        self.pages = pages
        self.batching = batching
        self.ridge = 0
        """See `pace`."""
        self.waiting = Waiting()
        self.running: dict[int, Sequence] = {}
        self._newest = 0.0
        self._admitted: list[int] = []

    def add(self, sequence: Sequence) -> None:
        self.waiting.put(sequence)
        self._newest = sequence.arrived

    def abort(self, sequence_id: int, *, spoilt: bool = False) -> bool:
        """Take it out; `spoilt`: with what it has computed. False when it is not here: it has ended already."""
        sequence = self.waiting.take(sequence_id) or self.running.pop(sequence_id, None)
        if sequence is not None:
            self.pages.give_back(sequence.pages, spoilt=spoilt)
        return sequence is not None

    def hold(self, sequence_id: int, *, held: bool) -> None:
        sequence = self.running.get(sequence_id) or self.waiting.get(sequence_id)
        if sequence is not None:
            sequence.held = held

    def forms_at(self) -> float | None:
        """When the next batch begins: now or earlier while something runs; None with nothing to do."""
        if any(not sequence.held for sequence in self.running.values()):
            return 0.0
        waiting = [sequence for sequence in self.waiting.values() if not sequence.held]
        if not waiting:
            return None
        if len(waiting) >= self.batching.max_batch_size:
            return 0.0
        patience = self.batching.max_wait_ms / 1000
        at = min(sequence.arrived for sequence in waiting) + patience
        return min(at, self._newest + patience * BURST_SHARE) if self.batching.dynamic else at

    def schedule(self, now: float) -> Batch:
        """The next step's rows; admits, and preempts where pages lack."""
        decoding = [s for s in self.running.values() if s.decoding and not s.held]
        placed = [s for s in decoding[: self.batching.max_batch_tokens] if self._make_room(s, now)]
        # A later one may have preempted an earlier one.
        rows = [self._row(s, 1) for s in placed if s.id in self.running]
        budget = self.batching.max_batch_tokens - len(rows)
        reading = len(self.waiting) + sum(not s.decoding and not s.held for s in self.running.values())
        most = chunk_tokens(len(rows), reading, self.ridge) if rows else budget
        prompts = self._prompt_rows(min(budget, most), now)
        rows += prompts
        admitted, self._admitted = self._admitted, []
        new = [self.running[number] for number in admitted if not self.running[number].preempted]
        return Batch(
            rows,
            len(rows) - len(prompts),
            admitted,
            clean=self.pages.to_clean() if rows else [],
            asked=sum(sequence.length for sequence in new),
            found=sum(sequence.computed for sequence in new),
        )

    def apply(self, batch: Batch, results: Iterable[Result]) -> list[Emission]:
        """Book a step that was run: one result for each sampling row, in order."""
        outcome = iter(results)
        emissions = []
        for row in batch.rows:
            row.sequence.computed = row.end
            if row.samples:
                emissions.append(self._book(row.sequence, next(outcome)))
        return emissions

    def fail(self, batch: Batch, error: str) -> list[Emission]:
        """Book a step that could not be run: it ends all its sequences."""
        for row in batch.rows:
            self.abort(row.sequence.id, spoilt=True)
        return [Emission(row.sequence.id, -1, FinishReason.ERROR, error) for row in batch.rows]

    def _book(self, sequence: Sequence, result: Result) -> Emission:
        if result.error:
            self.abort(sequence.id, spoilt=True)
            return Emission(sequence.id, -1, FinishReason.ERROR, result.error)
        finish = sequence.append(result.token)
        if finish is not None:
            self.abort(sequence.id)
        return Emission(sequence.id, result.token, finish or 0, logprob=result.logprob)

    def _row(self, sequence: Sequence, count: int) -> Row:
        """Its next tokens. The pages that they fill have their names from here on: a step that fails takes them away again."""
        start, end = sequence.computed, sequence.computed + count
        size = self.pages.size
        if end // size > start // size:
            names = sequence.page_names(end // size, size)
            for place in range(start // size, end // size):
                self.pages.name(sequence.pages[place], names[place])
        return Row(sequence, start, sequence.tokens_from(start, count), samples=end == sequence.length)

    def _prompt_rows(self, budget: int, now: float) -> list[Row]:
        rows: list[Row] = []
        candidates = [s for s in self.running.values() if not s.decoding and not s.held]
        unread = sum(sequence.length - sequence.computed for sequence in candidates)
        # One is admitted after the rows before it are made: it finds the pages that they fill.
        for sequence in chain(candidates, self._admit(budget - unread, now)):
            count = min(budget, sequence.length - sequence.computed)
            if count <= 0:
                break
            rows.append(self._row(sequence, count))
            budget -= count
        return rows

    def _admit(self, budget: int, now: float) -> Iterable[Sequence]:
        """Admits in rank order as long as the budget reaches into the next prompt."""
        if budget <= 0 or not self.waiting:
            return
        coming = self._coming()
        passed = 0
        for sequence in self.waiting.in_order(now):
            if sequence.held:
                continue
            if self._better_later(sequence, coming):
                passed += 1
                if passed >= PASSED:
                    return
                continue
            if budget <= 0 or not self._place(sequence, now):
                return  # nobody overtakes: a large one would starve
            budget -= sequence.length - sequence.computed
            coming |= self._to_compute(sequence)
            yield sequence

    def _coming(self) -> set[bytes]:
        """Names of the pages that running prompts are about to fill."""
        prompts = [s for s in self.running.values() if not s.decoding and not s.held]
        return {name for sequence in prompts for name in self._to_compute(sequence)}

    def _to_compute(self, sequence: Sequence) -> set[bytes]:
        size = self.pages.size
        return set(sequence.page_names(sequence.length // size, size)[sequence.computed // size :])

    def _better_later(self, sequence: Sequence, coming: set[bytes]) -> bool:
        """Whether much of what it would compute now is computed by another one already."""
        missing = [name for name in self._reusable(sequence) if not self.pages.knows(name)]
        return sum(name in coming for name in missing) * self.pages.size >= WORTH_WAITING

    def _reusable(self, sequence: Sequence) -> list[bytes]:
        """One token at least is left to compute: it gives the next one."""
        return sequence.page_names((sequence.length - 1) // self.pages.size, self.pages.size)

    def _place(self, sequence: Sequence, now: float) -> bool:
        """Take it into the batch, in the place of a held one if need be."""
        while True:
            if len(self.running) < self.batching.max_batch_size:
                shared = self.pages.share(self._reusable(sequence))
                pages = self.pages.take(self.pages.needed(sequence.length, len(shared)))
                if pages is not None:
                    sequence.computed = len(shared) * self.pages.size
                    sequence.pages = shared + pages
                    self.waiting.take(sequence.id)
                    self.running[sequence.id] = sequence
                    self._admitted.append(sequence.id)
                    return True
                self.pages.give_back(shared)
            held = [s for s in self.running.values() if s.held]
            if not held:
                return False
            self._preempt(self._least(held, now))

    def _make_room(self, sequence: Sequence, now: float) -> bool:
        """Pages for one more token; False when the sequence itself had to step back."""
        while sequence.id in self.running:
            pages = self.pages.take(self.pages.needed(sequence.length, len(sequence.pages)))
            if pages is not None:
                sequence.pages += pages
                return True
            self._preempt(self._least(self.running.values(), now))
        return False

    def _least(self, sequences: Iterable[Sequence], now: float) -> Sequence:
        return max(sequences, key=lambda s: (s.held, rank(s, now)))

    def _preempt(self, sequence: Sequence) -> None:
        """Back to waiting, to be computed again from its tokens; it keeps its place by its arrival."""
        self.pages.give_back(sequence.pages)
        sequence.computed, sequence.preempted = 0, True
        self.waiting.put(self.running.pop(sequence.id))
