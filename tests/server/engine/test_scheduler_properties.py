"""Whatever comes in whatever order: no page is lost, every sequence gets the tokens it would get alone, and all of them end."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from realtime_serve.engine.messages import Configure, FinishReason
from tests.support.driving import Driver, MemoryRunner, expected

PAGES, SIZE = 12, 4
ROOM = PAGES * SIZE
TEXT = [(3 * place) % 5 for place in range(ROOM)]

prompts = st.one_of(
    st.lists(st.integers(0, 96), min_size=1, max_size=ROOM // 2),
    # Beginnings of one text, some of them with an end of their own: these share pages.
    st.builds(
        lambda length, end: TEXT[:length] + end,
        st.integers(1, ROOM // 2 - 2),
        st.lists(st.integers(0, 1), max_size=2),
    ),
)


class Engine(RuleBasedStateMachine):
    sequences = Bundle("sequences")

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(MemoryRunner(count=PAGES, size=SIZE), max_batch_size=4, max_batch_tokens=16)
        self.wanted: dict[int, list[int]] = {}
        self.failed: set[int] = set()

    @rule(
        target=sequences,
        prompt=prompts,
        count=st.integers(1, ROOM // 2 - 1),
        priority=st.integers(0, 2),
    )
    def add(self, prompt, count, priority):
        number = self.driver.add(prompt, count, priority=priority)
        self.wanted[number] = expected(prompt, count)
        return number

    @rule(number=consumes(sequences))
    def abort(self, number):
        self.driver.abort(number)

    @rule()
    def fail(self):
        """A step that raises: what its sequences have written must not be seen by anybody."""
        broken = self.driver.fail_step()
        self.failed |= broken

    @rule(number=sequences, held=st.booleans())
    def hold(self, number, held):
        self.driver.scheduler.hold(number, held=held)

    @rule(size=st.integers(1, 6), tokens=st.integers(1, 24))
    def configure(self, size, tokens):
        self.driver.scheduler.batching = Configure(max_batch_size=size, max_batch_tokens=tokens)

    @rule(seconds=st.sampled_from([0.001, 0.5, 5.0]), steps=st.integers(1, 5))
    def step(self, seconds, steps):
        for _ in range(steps):
            due = self.driver.scheduler.forms_at() is not None
            self.driver.step(seconds)
            assert bool(self.driver.batches[-1].rows) == due, "the loop would spin, or sleep over work"

    @invariant()
    def tokens_are_those_of_the_sequence_alone(self):
        for number, outcome in self.driver.outcomes.items():
            assert outcome.tokens == self.wanted[number][: len(outcome.tokens)]

    def teardown(self):
        for number in self.wanted:
            self.driver.scheduler.hold(number, held=False)
        self.driver.finish()
        assert self.driver.pages.free == PAGES
        for number, outcome in self.driver.outcomes.items():
            if number in self.failed:
                assert outcome.finish == FinishReason.ERROR
            elif outcome.finish != FinishReason.ABORT:
                assert (outcome.finish, outcome.tokens) == (FinishReason.LENGTH, self.wanted[number])


Engine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestWhateverComes = Engine.TestCase
