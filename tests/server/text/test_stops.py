"""Stop strings are found wherever the text was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.text.stops import StopMatcher

WORDS = st.text(alphabet="ab\n", min_size=1, max_size=4)


def cut(text: str, stops: list[str]) -> tuple[str, bool]:
    """The definition, by brute force: the first moment at which the text so far ends with a stop string."""
    for end in range(1, len(text) + 1):
        begins = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if begins:
            return text[: min(begins)], True
    return text, False


def run(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    shown = "".join([matcher.push(piece) for piece in pieces])
    return shown + matcher.finish(), matcher.matched


@given(pieces=st.lists(st.text(alphabet="ab\n", max_size=5), max_size=12), stops=st.lists(WORDS, max_size=4))
def test_any_split_of_a_text_gives_what_the_whole_text_gives(pieces, stops):
    assert run(pieces, stops) == cut("".join(pieces), stops)


@given(
    pieces=st.lists(st.text(alphabet="ab\n", max_size=5), max_size=12),
    stops=st.lists(WORDS, min_size=1, max_size=4),
)
def test_no_more_is_held_back_than_a_stop_string_could_need(pieces, stops):
    matcher = StopMatcher(stops)
    taken = shown = 0
    for piece in pieces:
        taken += len(piece)
        shown += len(matcher.push(piece))
        if matcher.matched:
            return
        assert taken - shown < max(map(len, stops))


@pytest.mark.parametrize(
    ("pieces", "stops", "text"),
    [
        (["Hel", "lo\n", "\nUser: hi"], ["\n\nUser:"], "Hello"),
        (["one two", " three"], ["two"], "one "),
        (["a ST", "ILL b"], ["STOP"], "a STILL b"),
        (["abcX"], ["abcX", "bc"], "a"),
        (["ends with ST"], ["STOP"], "ends with ST"),
        (["🙂 en", "d 🙂"], ["end"], "🙂 "),
    ],
)
def test_text_ends_before_the_stop_string_that_is_complete_first(pieces, stops, text):
    assert run(pieces, stops)[0] == text
