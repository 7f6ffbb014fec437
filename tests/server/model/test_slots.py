"""The host's picture of the device's buffers, against a device that is a list of numbers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_serve.engine.batch import Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model.slots import (
    ADVANCE,
    PAGES,
    POSITION,
    SEED,
    TEMPERATURE,
    TOKEN,
    Slots,
    as_bits,
    bucket,
    premixed,
    signed,
)

MOST, SIZE, WIDTH, WASTE = 8, 4, PAGES + 10, 99


class Device:
    """Does what a step does there."""

    def __init__(self, slots: Slots) -> None:
        self.numbers = slots.empty() * MOST

    def slot(self, place: int) -> list[int]:
        return self.numbers[place * WIDTH : (place + 1) * WIDTH]

    def step(self, size: int, answers: dict[int, int]) -> None:
        """answers: the tokens by slot; where nobody sits anything may come."""
        for place in range(size):
            at = place * WIDTH
            self.numbers[at + TOKEN] = answers.get(place, 7)
            self.numbers[at + POSITION] += self.numbers[at + ADVANCE]


class Story:
    """Sequences that join, leave, are held, go on by another path or are computed again elsewhere."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.slots = Slots(most=MOST, width=WIDTH, page_tokens=SIZE, waste=WASTE)
        self.device = Device(self.slots)
        self.sequences: list[Sequence] = []
        self.page = 0

    def join(self) -> None:
        prompt = [self.chance.randrange(50) for _ in range(self.chance.randint(1, 12))]
        heat, seed = self.chance.choice((0.0, 0.7)), self.chance.randrange(-9, 1 << 70)
        sequence = Sequence(
            0, prompt, 99, Sampling(temperature=heat), frozenset(), 1, 0.0, seed=seed, generated=[1]
        )
        self.sequences.append(sequence)
        self.make_room(sequence)

    def make_room(self, sequence: Sequence) -> None:
        while len(sequence.pages) * SIZE < sequence.length:
            self.page += 1
            sequence.pages.append(self.page)

    def preempt(self, sequence: Sequence) -> None:
        """Its pages are others afterwards, and it is one token further by the ordinary path."""
        sequence.pages.clear()
        self.other_path(sequence)

    def other_path(self, sequence: Sequence) -> None:
        sequence.generated.append(self.chance.randrange(50))
        self.make_room(sequence)

    def step(self) -> dict[int, int]:
        """What it had to tell."""
        some = [sequence for sequence in self.sequences if not sequence.held][:MOST]
        if not some:
            return {}
        rows = [Row(s, s.length - 1, s.generated[-1:], samples=True) for s in some]
        seating = self.slots.seat(rows)
        for place, number in seating.patch.items():
            self.device.numbers[place] = number
        self.check(rows, seating)
        answers = [self.chance.randrange(50) for _ in rows]
        self.device.step(seating.size, dict(zip(seating.places, answers, strict=True)))
        self.slots.book(rows, answers)
        for sequence, answer in zip(some, answers, strict=True):
            sequence.generated.append(answer)
            self.make_room(sequence)
        return seating.patch

    def check(self, rows: list[Row], seating) -> None:
        assert len(set(seating.places)) == len(rows)
        assert max(seating.places) < seating.size <= MOST
        for row, place in zip(rows, seating.places, strict=True):
            slot, sequence = self.device.slot(place), row.sequence
            heat = as_bits(sequence.sampling.temperature) if sequence.sampling.temperature else 0
            assert (slot[TOKEN], slot[POSITION], slot[ADVANCE]) == (row.tokens[0], row.start, 1)
            assert (slot[SEED], slot[TEMPERATURE]) == (premixed(sequence.seed), heat)
            pages = -(-row.end // SIZE)
            assert slot[PAGES : PAGES + pages] == sequence.pages[:pages]
        for place in set(range(MOST)) - {*seating.places}:
            slot = self.device.slot(place)
            assert (slot[POSITION], slot[ADVANCE], slot[PAGES]) == (0, 0, WASTE), (
                "it would write somebody's page"
            )


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_the_device_knows_every_row_and_writes_nobody_elses_page(seed):
    story = Story(random.Random(seed))
    for _ in range(40):
        happening = story.chance.random()
        story.sequences = [s for s in story.sequences if s.length < (WIDTH - PAGES) * SIZE - 3]
        if happening < 0.3 or not story.sequences:
            story.join()
        chosen = story.chance.choice(story.sequences)
        if 0.3 < happening < 0.4:
            story.sequences.remove(chosen)
        elif 0.4 < happening < 0.5:
            chosen.held = not chosen.held
        elif 0.5 < happening < 0.6:
            story.preempt(chosen)
        elif 0.6 < happening < 0.7:
            story.other_path(chosen)
        elif 0.7 < happening < 0.8:
            story.chance.shuffle(story.sequences)
        story.step()


def test_what_goes_on_by_itself_is_told_nothing_but_its_next_page():
    story = Story(random.Random(1))
    story.join()
    told = [len(story.step()) for _ in range(3 * SIZE)]
    assert told[0] > ADVANCE
    assert sorted(told[1:]) == [0] * (len(told) - 4) + [1] * 3


def test_a_row_taken_further_by_another_path_is_told_where_it_is_and_not_its_pages():
    story = Story(random.Random(1))
    story.join()
    story.step()
    story.other_path(story.sequences[0])
    told = story.step()
    assert {column for column in told if column < PAGES} == {TOKEN, POSITION}
    assert len(told) <= 3


def test_rows_keep_their_slots_while_others_leave_as_long_as_the_bucket_reaches_them():
    story = Story(random.Random(1))
    for _ in range(8):
        story.join()
    story.step()
    del story.sequences[2:5]
    assert len(story.step()) == 3 * (PAGES + 1) + 0 * len(story.sequences) + told_pages(story)


def told_pages(story: Story) -> int:
    """Pages that rows which stayed opened in the last step: their last token but one is a page's first."""
    return sum((sequence.length - 2) % SIZE == 0 for sequence in story.sequences)


@given(count=st.integers(1, 300), most=st.integers(1, 300))
def test_every_batch_has_a_bucket_it_fits_into(count, most):
    if count <= most:
        size = bucket(count, most)
        assert count <= size <= most
        assert size < 2 * count
        assert size == most or size.bit_count() == 1


@pytest.mark.parametrize("value", [0, 1, -1, (1 << 63) - 1, 1 << 63, (1 << 64) + 5, -(1 << 63)])
def test_numbers_have_sixty_four_bits_with_a_sign(value):
    assert -(1 << 63) <= signed(value) < 1 << 63
    assert (signed(value) - value) % (1 << 64) == 0
